"""The runs of a frontier: each checkpoint, measured at each temperature."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kdbench.config import EvalSettings, FrontierSettings, build
from kdbench.errors import InputError, nearest_of
from kdbench.frontiers.students import AskedStudents, Student, StudentCheckpoint
from kdbench.measuring.early import check_early
from kdbench.metrics import (
    GRADES,
    CorpusMetric,
    compares_with_teacher,
    is_known,
    judged_metric,
    metrics,
)
from kdbench.protocol import get_protocol
from kdbench.store.frontiers import FRONTIERS, FrontierRecord, frontier_file, write_frontier
from kdbench.system.console import report_progress
from kdbench.task import load_tasks

ENTROPY = "sampling_entropy"
_QUALITY = "rougeL"


@dataclass(frozen=True)
class PointWork:
    """One evaluation of a frontier.

    Attributes:
        student: Label of the student.
        trained: The checkpoint.
        temperature: Sampling temperature.
        settings: How it is measured.
    """

    student: str
    trained: StudentCheckpoint
    temperature: float
    settings: EvalSettings = field(repr=False)


@dataclass(frozen=True)
class MeasuredTraining:
    """A checkpoint whose runs exist.

    Attributes:
        name: Name of the model in results.
        seed: Training seed; None if it is unknown.
        runs: Folder of the run at each temperature.
    """

    name: str
    seed: int | None
    runs: Mapping[float, Path]


@dataclass(frozen=True)
class MeasuredStudent:
    """A student whose runs exist."""

    label: str
    trainings: tuple[MeasuredTraining, ...]


def works(settings: FrontierSettings, asked: AskedStudents) -> list[PointWork]:
    """The evaluations of a frontier, in order; no model is loaded.

    Raises:
        InputError: A key is wrong, or the metric is none of a single student.
    """
    check_metric(settings)
    return [
        PointWork(
            student.label, trained, temperature, _settings(settings, asked, trained, temperature)
        )
        for student in asked.students
        for trained in student.trainings
        for temperature in settings.temperatures
    ]


def check_metric(settings: FrontierSettings) -> None:
    """Check that the metric is one of a single student.

    Raises:
        InputError: It compares with a teacher or another run, has no number for each prompt, needs
            judge=, or is unknown where students are to be measured.
    """
    name = settings.metric
    if name is None:
        return
    if settings.table or settings.students:
        check_name(name)
    if compares_with_teacher(name) or ("@" in name and judged_metric(name) is not None):
        raise InputError(
            f"metric={name}: compares with another model; give one of a single student"
        )
    if name in metrics.names() and issubclass(metrics.get(name), CorpusMetric):
        raise InputError(
            f"metric={name}: has no number for each prompt; give one that has, as {_QUALITY}"
        )
    if name in GRADES and settings.judge is None and (settings.table or settings.students):
        raise InputError(f"metric={name}: needs judge=")


def check_name(name: str) -> None:
    """Check that a metric of this name is installed.

    Raises:
        InputError: There is none.
    """
    if is_known(name) or judged_metric(name) is not None:
        return
    fitting = [
        known
        for known in metrics.names()
        if not compares_with_teacher(known) and not issubclass(metrics.get(known), CorpusMetric)
    ]
    raise InputError(f"metric={name}: no such metric{nearest_of(name, [*fitting, *GRADES])}")


def measured(settings: FrontierSettings, asked: AskedStudents) -> list[MeasuredStudent]:
    """Measure what is missing.

    Args:
        settings: Settings of `kdbench frontier`.
        asked: The students.

    Raises:
        InputError: As for `kdbench eval`.
    """
    from kdbench.evaluation import evaluate

    todo = works(settings, asked)
    for work in todo[:: len(settings.temperatures)]:  # once for each checkpoint
        check_early(work.settings)
    _check_tasks(todo[0].settings)
    if not frontier_file(asked.results).exists():
        write_frontier(asked.results, FrontierRecord(complete=False))
    runs: dict[tuple[str, float], Path] = {}
    for number, work in enumerate(todo, start=1):
        report_progress(
            f"{number} of {len(todo)}: {work.trained.name} at temperature {work.temperature:g}"
        )
        runs[work.trained.name, work.temperature] = evaluate(work.settings).run
    return [_measured(student, runs) for student in asked.students]


def _measured(student: Student, runs: Mapping[tuple[str, float], Path]) -> MeasuredStudent:
    return MeasuredStudent(
        student.label,
        tuple(
            MeasuredTraining(
                trained.name,
                trained.seed,
                {t: folder for (name, t), folder in runs.items() if name == trained.name},
            )
            for trained in student.trainings
        ),
    )


def _settings(
    settings: FrontierSettings, asked: AskedStudents, trained: StudentCheckpoint, temperature: float
) -> EvalSettings:
    keys: dict[str, Any] = {
        **asked.keys,
        "model": trained.model,
        "card": trained.card,
        "name": trained.name,
        "results": asked.results / FRONTIERS,
        "temperature": temperature,
        "metrics": list(_metrics(settings.metric)),
    }
    seeds = get_protocol(keys.get("protocol", "minillm")).seeds
    if temperature == 0:  # greedy decoding, where all seeds give the same text
        keys = {key: value for key, value in keys.items() if key not in ("top_p", "top_k")}
        keys["seeds"] = list(keys.get("seeds") or seeds)[:1]
    return build(EvalSettings, {key: value for key, value in keys.items() if value is not None})


def _metrics(name: str | None) -> Iterator[str]:
    yield _QUALITY if name is None or name in GRADES else name
    yield ENTROPY


def _check_tasks(settings: EvalSettings) -> None:
    """Check that the tasks are answered by sampled text."""
    tasks = load_tasks(settings.tasks, settings.data, settings.limit, settings.run_code)
    for task in tasks:
        if not task.generates:
            raise InputError(
                f"task '{task.name}': is scored by likelihood, which has no temperature; choose "
                "the tasks with tasks="
            )
