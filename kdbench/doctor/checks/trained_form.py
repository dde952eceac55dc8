"""Prompts in another form than those that the student was trained on."""

from collections.abc import Iterator

from kdbench.doctor.check import check
from kdbench.doctor.finding import Finding
from kdbench.doctor.patient import Patient
from kdbench.measuring.advice import prompt_advice


@check("trained_form", "files", of=("eval",))
def trained_form(patient: Patient) -> Iterator[Finding]:
    """Prompts in another form than those of the student's training."""
    for member in patient.members:
        if advice := prompt_advice(member.checkpoint.card, patient.protocol):
            what, _, fix = advice.partition("; ")
            yield Finding(
                "warning",
                f"{member.whose}: {what}",
                "a student answers worse to prompts in a form that it never saw",
                fix,
            )
