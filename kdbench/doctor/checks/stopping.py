"""Models that do not know how to stop."""

from collections.abc import Iterator

from kdbench.doctor.check import check
from kdbench.doctor.finding import Finding
from kdbench.doctor.member import Member
from kdbench.doctor.patient import Patient
from kdbench.views.probe import plain_logits, plainly

_PROMPTS = 8
_LONGEST = 512
_UNLIKELY = 1e-3  # a model that was tuned on responses gives the end token .1 to 1 there


@check("stopping", "weights")
def stopping(patient: Patient) -> Iterator[Finding]:
    """A model that gives its end token no probability where references end."""
    for member in patient.members:
        if member.role == "undistilled" or (patient.of == "train" and member.role == "student"):
            continue  # it need not stop yet
        chances = _chances(patient, member)
        if chances and max(chances) < _UNLIKELY:
            ends = ", ".join(f"'{member.token(number)}'" for number in sorted(member.end_ids))
            yield Finding(
                "warning",
                f"{member.whose}: after {len(chances)} complete references the probability of its "
                f"end tokens ({ends}) is at most {max(chances):.1g}",
                "it does not stop by itself, so every response runs to max_new_tokens=",
                f"{_as_chat(patient)}a checkpoint that was tuned on responses with this end token; "
                "or its real end token in generation_config.json",
            )


def _as_chat(patient: Patient) -> str:
    """The key that asks in the chat template; nothing if that is done already."""
    if patient.protocol.prompt == "chat":
        return ""
    key = {"eval": "protocol=chat", "train": "train_format=chat"}[patient.of]
    return f"{key}, if it was tuned on chats; "


def _chances(patient: Patient, member: Member) -> list[float]:
    """The probability of an end token at the end of each of the first references."""
    found = []
    rows = len(member.model.get_input_embeddings().weight)
    ends = [number for number in member.end_ids if number < rows]
    with plainly(member.model):
        for question in patient.prompts(_PROMPTS):
            if not question.response:
                continue
            prompt = patient.encoded(member, question).ids
            answer = member.tokenizer(question.response, add_special_tokens=False)["input_ids"]
            ids = (*prompt, *answer)
            if max(ids) < rows and len(ids) <= _LONGEST:
                chance = plain_logits(member.model, ids)[-1].softmax(-1)[ends].sum()
                found.append(float(chance))
    return found
