"""`kdbench eval`: measure a checkpoint; compare it with a teacher and have it judged, if wanted."""

from dataclasses import replace

from kdbench.config import EvalSettings, given_facts
from kdbench.fidelity.compare import compare_with_teacher, measured_floor
from kdbench.fidelity.steps import comparing_steps
from kdbench.fidelity.teachers.base import Teacher
from kdbench.fidelity.teachers.find import check_cache, find_teacher
from kdbench.fidelity.teachers.live import LiveTeacher
from kdbench.fidelity.wanted import check_metrics, wanted_metrics
from kdbench.judging.dry_run import judge_facts
from kdbench.judging.work import JudgeWork, judge_of_evaluation, tasks_to_judge
from kdbench.measuring.advice import answers_advice, prompt_advice
from kdbench.measuring.dry_run import outline
from kdbench.measuring.early import check_early
from kdbench.measuring.measurement import Evaluation, Measurement, prepare
from kdbench.measuring.steps import steps_of
from kdbench.metrics import make_metrics
from kdbench.system.console import report_progress
from kdbench.system.outline import Fact, Section
from kdbench.system.progress import Step, whole_run
from kdbench.system.remote.hooks import publishing
from kdbench.trackers import check_trackers, track_run


def plan_evaluation(settings: EvalSettings) -> list[Section]:
    """What `evaluate` would do: every check is made, no weights are loaded, nothing is written.

    Args:
        settings: What to measure, and how.

    Raises:
        InputError: As for `evaluate`, but for what only the loaded model shows.
    """
    student = _prepared(settings)
    metrics = make_metrics(settings.metric_names())
    kinds = {not task.generates for task in student.tasks} if settings.teacher else set()
    compared = {name for kind in kinds for name in wanted_metrics(settings.metrics, kind).names}
    names = " ".join([*(metric.name for metric in metrics), *sorted(compared)])
    facts = (*given_facts(settings), Fact("metrics", names))
    sections = [Section("kdbench eval: a dry run, which writes nothing", facts)]
    sections += outline(student, "Model")
    if settings.teacher is not None:
        teacher = find_teacher(settings, student.tasks)
        if isinstance(teacher, LiveTeacher):
            for run in teacher.measurements:
                sections += outline(run, "Teacher", shows_prompts=False)
        else:
            name, sha256 = teacher.identity["name"], str(teacher.identity["sha256"])[:12]
            fact = Fact("scores", f"{settings.teacher}: {name} (sha256 {sha256})")
            sections.append(Section("Teacher", (fact,)))
    floor = settings.of_undistilled()
    if floor is not None:
        undistilled = prepare(floor, "undistilled", student.tasks)
        sections += outline(undistilled, "Undistilled", shows_prompts=False)
    if settings.judge is not None:
        judge = _judge_work(settings, student).judge
        sections.append(Section("Judge", tuple(judge_facts(judge))))
    return sections


def evaluate(settings: EvalSettings) -> Evaluation:
    """Measure a checkpoint and how closely it agrees with a teacher.

    Args:
        settings: What to measure, and how.

    Raises:
        InputError: Models, data, tasks or settings have a fault that the user can fix.
    """
    with publishing():
        return _evaluated(settings)


def _evaluated(settings: EvalSettings) -> Evaluation:
    # A fault of any model is reported before another model has worked for hours.
    student = _prepared(settings)
    work = None if settings.judge is None else _judge_work(settings, student)
    evaluation = _measured(settings, student)
    if work is not None:
        student.release()
        judged = work.finish(student.tasks)
        evaluation = replace(evaluation, results={**evaluation.results, **judged.results})
    if settings.report_to and (evaluation.run / "run.json").is_file():  # not of an early shard
        track_run(evaluation.run, settings.report_to, settings.report_group)
    return evaluation


def measurements_of(settings: EvalSettings) -> list[Measurement]:
    """The measurements of an evaluation, none begun: the student's first, then those it needs.

    Args:
        settings: What to measure, and how.

    Raises:
        InputError: As for `evaluate`, but for what only the loaded model shows.
    """
    student = _prepared(settings)
    if settings.judge is not None:
        _judge_work(settings, student)
    runs = [student]
    if settings.teacher is not None:
        teacher = find_teacher(settings, student.tasks)
        runs += teacher.measurements if isinstance(teacher, LiveTeacher) else ()
    if (floor := settings.of_undistilled()) is not None:
        runs.append(prepare(floor, "undistilled", student.tasks, wait=True))
    return runs


def _judge_work(settings: EvalSettings, student: Measurement) -> JudgeWork:
    """The judging of the student's responses, with everything checked that can be known early."""
    tasks_to_judge(student.tasks)
    return judge_of_evaluation(settings, student.run.path, student.is_finished())


def _measured(settings: EvalSettings, student: Measurement) -> Evaluation:
    """Measure the student and, if a teacher is given, compare it with the teacher."""
    if settings.teacher is None:
        with whole_run(steps_of(student)):
            student.measure()
        return Evaluation(student.run.path, student.results, student.generated, student.groups)
    teacher = find_teacher(settings, student.tasks)
    floor_settings = settings.of_undistilled()
    undistilled = None
    if floor_settings is not None:
        undistilled = prepare(floor_settings, "undistilled", student.tasks, wait=True)
    try:
        with whole_run(_steps(student, teacher, undistilled)):
            teacher.answer()
            floor = undistilled and measured_floor(undistilled.measure(), teacher)
            results = compare_with_teacher(student.measure(), teacher, floor or None)
        teacher.finish_cache()
    finally:
        teacher.release()
    generated = student.generated + teacher.generated
    generated += undistilled.generated if undistilled else 0
    return Evaluation(student.run.path, results, generated, student.groups)


def _steps(
    student: Measurement, teacher: Teacher, undistilled: Measurement | None
) -> dict[Step, int]:
    """What is left to do of the whole run, in units of each step."""
    runs = teacher.measurements if isinstance(teacher, LiveTeacher) else ()
    steps = {step: n for run in runs for step, n in steps_of(run).items()}
    if undistilled is not None:
        steps |= steps_of(undistilled)
    return {**steps, **steps_of(student), **comparing_steps(student)}


def _prepared(settings: EvalSettings) -> Measurement:
    """The measurement of the student, with everything checked that names show."""
    has_teacher, caches_scores = settings.teacher is not None, settings.teacher_cache is not None
    check_metrics(settings.metrics, has_teacher, caches_scores)
    check_trackers(settings.report_to)
    check_early(settings)
    check_cache(settings)
    student = prepare(settings)
    for advice in (
        prompt_advice(student.checkpoint.card, student.protocol),
        answers_advice(settings.metrics, student.tasks),
    ):
        if advice:
            report_progress(f"note: {advice}")
    return student
