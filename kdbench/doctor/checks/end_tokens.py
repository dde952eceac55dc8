"""End tokens: one that a chat ends with, and others at which generation stops."""

from collections.abc import Iterator

from kdbench.doctor.check import check
from kdbench.doctor.finding import Finding
from kdbench.doctor.member import Member
from kdbench.doctor.patient import Patient
from kdbench.doctor.train_patient import TrainPatient
from kdbench.doctor.turns import template_of, turn_end


@check("end_tokens", "tokens")
def end_tokens(patient: Patient) -> Iterator[Finding]:
    """End tokens that differ between tokenizer, generation settings and chat template."""
    for member in patient.members:
        yield from _against_generation(member)
        if patient.protocol.prompt == "chat":
            yield from _against_template(patient, member)


def _against_generation(member: Member) -> Iterator[Finding]:
    own = member.tokenizer.eos_token_id
    others = member.end_ids - {own}
    stated = member.generation_settings.get("eos_token_id") is not None
    listed = member.generation_settings.get("eos_token_id")
    if stated and own not in (listed if isinstance(listed, list) else [listed]):
        names = ", ".join(f"'{member.token(number)}'" for number in sorted(others))
        yield Finding(
            "warning",
            f"{member.whose}: the tokenizer's end token is '{member.token(own)}', and "
            f"generation_config.json stops at {names}",
            "kdbench trains the tokenizer's end token and stops at both; generate() and engines "
            "stop at the other alone, so there responses run on",
            "eos_token_id of generation_config.json with both, or end_token= in training",
        )


def _against_template(patient: Patient, member: Member) -> Iterator[Finding]:
    template = template_of(member.tokenizer, patient.protocol.chat_template)
    if template is None:
        return  # reported by `chat_template`
    end = turn_end(member.tokenizer, template)
    if end is None:
        return
    if isinstance(patient, TrainPatient):
        taught = patient.settings.end_token or member.tokenizer.eos_token
        if member.token(end) != taught and member.role == "student":
            yield Finding(
                "warning",
                f"{member.whose}: its chat template ends a turn with '{member.token(end)}', and "
                f"the training teaches '{taught}'",
                "the student unlearns the end of its own chat format",
                f"end_token={member.token(end)}",
            )
    elif end not in member.end_ids:
        yield Finding(
            "error",
            f"{member.whose}: its chat template ends a turn with '{member.token(end)}', which is "
            f"no end token ('{member.tokenizer.eos_token}' is)",
            "it never seems to stop: every response runs to max_new_tokens= and holds further "
            "turns",
            "eos_token of tokenizer_config.json, or eos_token_id of generation_config.json, with "
            f"'{member.token(end)}' ({end})",
        )
