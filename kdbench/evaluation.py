"""`kdbench eval`: a checkpoint measured, and beside its teacher where there is one."""

from kdbench.config import EvalSettings
from kdbench.fidelity.compare import compare_with_teacher, measured_floor
from kdbench.fidelity.teachers.find import find_teacher
from kdbench.fidelity.wanted import check_words
from kdbench.measuring.advice import prompt_advice
from kdbench.measuring.measurement import Evaluation, prepare
from kdbench.system.console import report_progress


def evaluate(settings: EvalSettings) -> Evaluation:
    """Measure a checkpoint, and how far it agrees with a teacher.

    Raises:
        InputError: anything about models, data, tasks or settings that the user can mend.
    """
    check_words(settings.metrics, settings.teacher is not None, settings.teacher_cache is not None)
    # Whatever is wrong with one of the models shows before another has worked for hours.
    student = prepare(settings)
    if advice := prompt_advice(student.checkpoint.card, student.protocol):
        report_progress(f"note: {advice}")
    if settings.teacher is None:
        student.measure()
        return Evaluation(student.run.path, student.results, student.generated)
    teacher = find_teacher(settings, student.tasks)
    below = settings.of_undistilled()
    undistilled = below and prepare(below, "undistilled", student.tasks, wait=True)
    try:
        teacher.answer()
        floor = undistilled and measured_floor(undistilled.measure(), teacher)
        results = compare_with_teacher(student.measure(), teacher, floor or None)
    finally:
        teacher.release()
    generated = student.generated + teacher.generated
    generated += undistilled.generated if undistilled else 0
    return Evaluation(student.run.path, results, generated)
