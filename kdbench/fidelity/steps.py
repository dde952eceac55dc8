"""The steps of a comparison with a teacher, for the time left of a whole run."""

from kdbench.fidelity.tokens import comparing
from kdbench.fidelity.wanted import wanted_metrics
from kdbench.measuring.measurement import Measurement
from kdbench.metrics import POSITION_SETS
from kdbench.system.progress import Step


def comparing_steps(student: Measurement) -> dict[Step, int]:
    """The forward passes over texts, for each task that was not compared yet.

    Args:
        student: Measurement of the student.
    """
    steps: dict[Step, int] = {}
    wanted = wanted_metrics(student.settings.metrics)
    for task in student.tasks:
        stored = student.run.read_task(task.name)
        if not task.generates or (stored is not None and stored.teacher is not None):
            continue
        for position_set in filter(wanted.at, POSITION_SETS):
            texts = 1 if position_set == "ref" else len(student.protocol.seeds)
            steps[Step(task.name, comparing(position_set))] = texts * len(task.documents)
    return steps
