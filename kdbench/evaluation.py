"""`kdbench eval`: measure a checkpoint and, if a teacher is given, compare it with the teacher."""

from kdbench.config import EvalSettings
from kdbench.fidelity.compare import compare_with_teacher, measured_floor
from kdbench.fidelity.teachers.find import find_teacher
from kdbench.fidelity.wanted import check_metrics
from kdbench.measuring.advice import prompt_advice
from kdbench.measuring.measurement import Evaluation, prepare
from kdbench.system.console import report_progress


def evaluate(settings: EvalSettings) -> Evaluation:
    """Measure a checkpoint and how closely it agrees with a teacher.

    Args:
        settings: What to measure, and how.

    Raises:
        InputError: Models, data, tasks or settings have a fault that the user can fix.
    """
    has_teacher, caches_scores = settings.teacher is not None, settings.teacher_cache is not None
    check_metrics(settings.metrics, has_teacher, caches_scores)
    # A fault of any model is reported before another model has worked for hours.
    student = prepare(settings)
    if advice := prompt_advice(student.checkpoint.card, student.protocol):
        report_progress(f"note: {advice}")
    if settings.teacher is None:
        student.measure()
        return Evaluation(student.run.path, student.results, student.generated, student.groups)
    teacher = find_teacher(settings, student.tasks)
    floor_settings = settings.of_undistilled()
    undistilled = floor_settings and prepare(
        floor_settings, "undistilled", student.tasks, wait=True
    )
    try:
        teacher.answer()
        floor = undistilled and measured_floor(undistilled.measure(), teacher)
        results = compare_with_teacher(student.measure(), teacher, floor or None)
    finally:
        teacher.release()
    generated = student.generated + teacher.generated
    generated += undistilled.generated if undistilled else 0
    return Evaluation(student.run.path, results, generated, student.groups)
