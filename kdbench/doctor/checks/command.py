"""What the command itself would refuse, before it loads or generates anything."""

from collections.abc import Iterator

from kdbench.doctor.check import check
from kdbench.doctor.eval_patient import EvalPatient
from kdbench.doctor.finding import Finding
from kdbench.doctor.patient import Patient
from kdbench.doctor.train_patient import TrainPatient


@check("command", "tokens")
def command(patient: Patient) -> Iterator[Finding]:
    """Settings that the command itself refuses, and a checkpoint that is there already."""
    if isinstance(patient, EvalPatient):
        from kdbench.fidelity.wanted import check_metrics
        from kdbench.metrics import make_metrics

        settings = patient.settings
        check_metrics(settings.metrics, bool(settings.teacher), bool(settings.teacher_cache))
        make_metrics(settings.metric_names())
        _ = patient.tasks
        return
    assert isinstance(patient, TrainPatient)  # noqa: S101 - for the type checker
    from kdbench.distillation.arguments import check_settings
    from kdbench.distillation.card import read_card

    check_settings(patient.settings)
    patient.source.check(patient.settings.trust_remote_code)
    ingredients, out = patient.ingredients, patient.recipe.out
    if out.exists():
        read_card(out, ingredients)
        yield Finding(
            "note",
            f"{out} holds the checkpoint of these very settings",
            "the command will return it and train nothing",
            "another out=, or delete the folder to train again",
        )
