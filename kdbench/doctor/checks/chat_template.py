"""The chat template: missing, not used, or with a thinking mode that has no room."""

from collections.abc import Iterator

from kdbench.doctor.check import check
from kdbench.doctor.finding import Finding
from kdbench.doctor.member import Member
from kdbench.doctor.patient import Patient
from kdbench.doctor.train_patient import TrainPatient
from kdbench.doctor.turns import own_marks, template_of
from kdbench.generate.thinking import thinks
from kdbench.measuring.advice import trained_form
from kdbench.views.chat import find_template

_ROOM_TO_THINK = 1024  # tokens; thinking models write hundreds before they answer


@check("chat_template", "tokens")
def chat_template(patient: Patient) -> Iterator[Finding]:
    """A chat template that is missing, not used, or thinks without room."""
    for member in patient.members:
        if patient.protocol.prompt == "chat":
            template = find_template(
                member.tokenizer, patient.protocol.chat_template, member.checkpoint.path
            )
            yield from _thinking(patient, member, template)
        elif trained_form(member.checkpoint.card) != "task":  # else its template is idle
            yield from _not_used(patient, member)


def _not_used(patient: Patient, member: Member) -> Iterator[Finding]:
    template = template_of(member.tokenizer)
    marks = own_marks(member.tokenizer, template) if template else []
    if not marks:
        return
    training = isinstance(patient, TrainPatient)
    if training and member.role == "student":
        return  # the training decides which format the student has
    why = "a chat model writes other, often longer texts to prompts in a form that it never saw"
    fix = "protocol=chat"
    if training:
        why = "a chat model is a weaker teacher on prompts in a form that it never saw"
        fix = "train_format=chat, or a teacher that was trained on the task's prompts"
    yield Finding(
        "warning",
        f"{member.whose} has a chat template ({', '.join(marks[:3])}), and the prompts are the "
        "task's own, without it",
        why,
        fix,
    )


def _thinking(patient: Patient, member: Member, template: str) -> Iterator[Finding]:
    protocol = patient.protocol
    off = protocol.chat_template_kwargs.get("enable_thinking") is False
    if not thinks(template) or off or patient.of == "train":
        return
    if protocol.max_new_tokens < _ROOM_TO_THINK:
        yield Finding(
            "warning",
            f"{member.whose}: its chat template has a thinking mode, and responses end at "
            f"max_new_tokens={protocol.max_new_tokens}",
            "thinking that is cut off before it ends leaves an empty answer, which scores 0",
            "max_new_tokens=4096, or chat_template_kwargs=enable_thinking=false",
        )
