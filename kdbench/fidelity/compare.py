"""The comparison of a student with its teacher, task by task."""

from dataclasses import replace

from kdbench.fidelity.details_writer import is_finished
from kdbench.fidelity.floor import Floor, with_floor, with_floor_of
from kdbench.fidelity.model_pair import ModelPair
from kdbench.fidelity.options import add_option_metrics
from kdbench.fidelity.pairs import add_pairs
from kdbench.fidelity.results import Results
from kdbench.fidelity.teachers.base import Teacher
from kdbench.fidelity.token_metrics import NO_FACTS, add_token_metrics
from kdbench.fidelity.wanted import WantedMetrics, wanted_metrics
from kdbench.measuring.measurement import Measurement
from kdbench.metrics import (
    CorpusPairMetric,
    PairMetric,
    PooledPairMetric,
    PromptPairMetric,
    compares_with_teacher,
    is_known,
)
from kdbench.store.results import TaskResult
from kdbench.store.token_details import details_file
from kdbench.system.console import report_progress
from kdbench.task import Task


def measured_floor(undistilled: Measurement, teacher: Teacher) -> Floor:
    """Compare the undistilled student with the teacher, and free its memory.

    Raises:
        InputError: As for `compare_with_teacher`.
    """
    results = compare_with_teacher(undistilled, teacher)
    undistilled.record.label(method="Undistilled")
    undistilled.release()
    return Floor(undistilled.name, undistilled.checkpoint.sha256, results)


def compare_with_teacher(
    student: Measurement, teacher: Teacher, floor: Floor | None = None
) -> dict[str, TaskResult]:
    """Add the fidelity metrics to the student's results; what is already stored stays.

    Args:
        student: The student, measured.
        teacher: The teacher to compare it with.
        floor: The undistilled student, compared with the same teacher.

    Returns:
        The results by task, as stored.

    Raises:
        InputError: Models or caches cannot be compared, or a metric is unknown.
    """
    results = {}
    for task in student.tasks:
        if task.name not in student.results:
            continue
        results[task.name] = student.results[task.name]
        asked = wanted_metrics(student.settings.metrics, options=not task.generates)
        if not teacher.is_ready(task):
            report_progress(f"{task.name}: the teacher's other shards are still to come")
        else:
            if _must_measure(student, results[task.name], teacher, asked):
                _restore(student, task)  # which takes the lock itself
            with student.run.lock(task.name, wait=student.waits):
                results[task.name] = _compare(ModelPair(student, teacher, task), asked, floor)
    return results


def _restore(student: Measurement, task: Task) -> None:
    """Generate or measure again what a comparison reads, if only its results were kept."""
    if task.generates:
        student.restore_samples(task)
    else:
        student.options(task)


def _compare(pair: ModelPair, asked: WantedMetrics, floor: Floor | None) -> TaskResult:
    """Return the task's result with the fidelity metrics, and store it if it is new."""
    student, task = pair.student, pair.task
    stored = student.run.read_task(task.name) or student.results[task.name]
    result = stored
    if _must_measure(student, stored, pair.teacher, asked):
        result = _measured(pair, stored, asked)
    if floor is not None and task.name in floor.results:
        result = with_floor(result, floor)
    return result if result == stored else student.run.write_task(result)


def _is_same_teacher(stored: TaskResult, teacher: Teacher) -> bool:
    """Whether a stored result compares with this teacher."""
    identity = stored.teacher
    return identity is not None and all(
        identity.get(key) == value for key, value in teacher.identity.items()
    )


def _must_measure(
    student: Measurement, stored: TaskResult, teacher: Teacher, asked: WantedMetrics
) -> bool:
    """Whether a comparison is missing, stands on a damaged file, fills a cache or lacks details."""
    return (
        student.settings.teacher_cache is not None
        or stored.task in student.repaired
        or not _is_current(stored, teacher, asked)
        or _lacks_details(student, stored, teacher, asked)
    )


def _lacks_details(
    student: Measurement, stored: TaskResult, teacher: Teacher, asked: WantedMetrics
) -> bool:
    """Whether the token details of the student's stored responses are still to be written.

    Results that were kept without samples stay as they are: nothing is generated for details.
    """
    measured = any(
        metric.value is not None
        for name, metric in stored.metrics.items()
        if name.endswith("@student") and name in asked.names
    )
    return (
        student.settings.token_details
        and measured
        and student.run.lines(stored.task).path.exists()
        and not is_finished(details_file(student.run, stored.task, teacher.identity))
    )


def _is_current(stored: TaskResult, teacher: Teacher, asked: WantedMetrics) -> bool:
    """Whether a stored result has all metrics, for this teacher and in these versions."""
    versions = {metric.name: str(metric.version) for metric in asked.metrics}
    return _is_same_teacher(stored, teacher) and all(
        name in stored.metrics and stored.metrics[name].version == versions[name.partition("@")[0]]
        for name in asked.names
    )


def _measured(pair: ModelPair, stored: TaskResult, asked: WantedMetrics) -> TaskResult:
    """Measure the wanted metrics and those that are stored for the same teacher."""
    same_teacher = _is_same_teacher(stored, pair.teacher)
    wanted = _with_stored(asked, stored) if same_teacher else asked
    results = Results()
    facts = NO_FACTS
    if pair.task.generates:
        facts = add_token_metrics(results, pair, wanted)
        _add_text_metrics(results, pair, wanted)
    else:
        add_option_metrics(results, pair, wanted)
    kept = {name: m for name, m in stored.metrics.items() if not compares_with_teacher(name)}
    columns = {n: column for n, column in stored.documents.items() if not compares_with_teacher(n)}
    measured = replace(
        stored,
        metrics={**kept, **results.metrics},
        documents={**columns, **results.documents},
        teacher={**pair.teacher.identity, **facts.as_dict()},
        curves=results.curves,
    )
    return with_floor_of(measured, stored) if same_teacher else measured


def _with_stored(asked: WantedMetrics, stored: TaskResult) -> WantedMetrics:
    names = [name for name in stored.metrics if compares_with_teacher(name) and is_known(name)]
    return wanted_metrics([*asked.names, *names]) if names else asked


def _add_text_metrics(results: Results, pair: ModelPair, wanted: WantedMetrics) -> None:
    if reason := pair.teacher.no_responses:
        compared = PairMetric | PooledPairMetric | CorpusPairMetric | PromptPairMetric
        names = [metric.name for metric in wanted.metrics if isinstance(metric, compared)]
        results.add_nulls(names, wanted, reason)
        return
    # Only asked where it matters, because it loads the tokenizers.
    shares_noise = any(isinstance(m, PairMetric) and m.same_noise for m in wanted.metrics)
    difference = pair.why_no_shared_tokens() if shares_noise else None
    add_pairs(
        results,
        wanted,
        pair.student_answers(),
        pair.teacher_answers(with_tokens=difference is None),
        # Noise belongs to token ids; greedy decoding has none.
        difference if pair.student.protocol.temperature > 0 else None,
    )
