"""Prompts of the tasks: cut at the protocol's limit, or too long for a model."""

from collections.abc import Iterator, Sequence

from kdbench.doctor.check import check
from kdbench.doctor.eval_patient import EvalPatient
from kdbench.doctor.finding import Finding
from kdbench.doctor.member import Member
from kdbench.doctor.patient import Patient, ProbePrompt
from kdbench.task import Task
from kdbench.views.tokenizers import shared_tokens

_MANY = 0.1


@check("prompts", "tokens", of=("eval",))
def prompts(patient: Patient) -> Iterator[Finding]:
    """Prompts that are cut, or longer than a model's context; references longer than responses."""
    assert isinstance(patient, EvalPatient)  # noqa: S101 - for the type checker
    measured: list[Member] = []
    for member in patient.members:
        equal = [o for o in measured if shared_tokens(o.tokenizer, member.tokenizer).size]
        room = getattr(member.config, "max_position_embeddings", None)
        if any(getattr(o.config, "max_position_embeddings", None) == room for o in equal):
            continue  # its prompts have the same tokens, and the same room
        measured.append(member)
        for task in filter(lambda task: task.generates, patient.tasks):
            yield from _of_task(patient, member, task, room, is_new=not equal)


def _of_task(
    patient: EvalPatient, member: Member, task: Task, room: int | None, is_new: bool
) -> Iterator[Finding]:
    protocol = patient.protocol
    encoded = {
        d.id: patient.encoded(member, ProbePrompt(d.prompt, d.conversation, ""))
        for d in task.documents
    }
    if not encoded:
        return
    cut = [name for name, prompt in encoded.items() if prompt.cut]
    if cut and is_new:
        many = len(cut) >= _MANY * len(encoded)
        yield Finding(
            "warning" if many else "note",
            f"{_of(cut, encoded)} prompts of {task.name} are cut at "
            f"max_prompt_tokens={protocol.max_prompt_tokens}",
            "a cut prompt has lost its end: the question, or the mark before the response",
            "max_prompt_tokens=none, if the numbers need not compare with the papers'",
            cut,
        )
    long = [
        name
        for name, prompt in encoded.items()
        if room and len(prompt.ids) + protocol.max_new_tokens > room
    ]
    if long:
        longest = max(len(encoded[name].ids) for name in long)
        yield Finding(
            "error",
            f"{member.whose}: {_of(long, encoded)} prompts of {task.name} and a response of "
            f"{protocol.max_new_tokens} tokens do not fit into its {room} positions (the longest "
            f"prompt has {longest})",
            "the run stops at the first of them",
            "lower max_new_tokens= or max_prompt_tokens=",
            long,
        )
    if is_new and member.role == "student":
        yield from _references(patient, member, task)


def _references(patient: EvalPatient, member: Member, task: Task) -> Iterator[Finding]:
    limit = patient.protocol.max_new_tokens
    texts = {d.id: min(d.references, key=len) for d in task.documents if d.references}
    ids = member.tokenizer(list(texts.values()), add_special_tokens=False)["input_ids"]
    long = [name for name, tokens in zip(texts, ids, strict=True) if len(tokens) > limit]
    if texts and len(long) >= _MANY * len(texts):
        yield Finding(
            "warning",
            f"{_of(long, texts)} references of {task.name} are longer than "
            f"max_new_tokens={limit} tokens",
            "a response that ends at the limit cannot match them, so scores are too low",
            "a larger max_new_tokens=",
            long,
        )


def _of(some: Sequence[str], everything: object) -> str:
    number = len(everything)  # type: ignore[arg-type]
    return f"{len(some)} of {number} ({len(some) / number:.0%})"
