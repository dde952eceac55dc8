"""A teacher that the method does not learn from."""

from collections.abc import Iterator

from kdbench.doctor.check import check
from kdbench.doctor.finding import Finding
from kdbench.doctor.patient import Patient
from kdbench.doctor.train_patient import TrainPatient
from kdbench.methods import Method


@check("unused_teacher", "files", of=("train",))
def unused_teacher(patient: Patient) -> Iterator[Finding]:
    """A teacher from which the method, with these keys, learns nothing."""
    assert isinstance(patient, TrainPatient)  # noqa: S101 - for the type checker
    settings, stages = patient.settings, patient.method.stages()
    prepares = type(patient.method).prepare is not Method.prepare  # and may ask the teacher
    if prepares or any(stage.uses_teacher and stage.teacher == "given" for stage in stages):
        return
    triple = stages[0].triple
    if patient.method.needs_teacher:
        yield Finding(
            "error",
            f"method={settings.method} with these keys does not use its teacher: its loss is "
            f"{triple.describe()['objective']} on {triple.source}",
            "the run is supervised fine-tuning under the name of a distillation method",
            "the method's own keys, such as kd_ratio= above 0, or method=sft",
        )
    elif settings.teacher and not settings.student.startswith(
        ("prune:teacher", "search:teacher", "random:")
    ):
        yield Finding(
            "warning",
            f"teacher={settings.teacher} has no effect with method={settings.method}",
            "the student learns from the training set alone",
            "method=kd, gkd or another that learns from a teacher; kdbench methods lists them",
        )
