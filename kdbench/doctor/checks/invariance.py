"""Texts that depend on the batch in which they are generated."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from kdbench.doctor.check import check
from kdbench.doctor.eval_patient import EvalPatient
from kdbench.doctor.finding import CannotRunError, Finding
from kdbench.doctor.member import Member
from kdbench.doctor.patient import Patient
from kdbench.generate.decoding.generator import Generator
from kdbench.generate.decoding.guard import sound_decoding
from kdbench.generate.decoding.kinds import Begin
from kdbench.generate.values import Row
from kdbench.protocol import get_protocol
from kdbench.views.tokenizers import vocabulary_size

_PROMPTS, _TOKENS = 3, 24
_OTHERS = ("vllm", "lm_eval")


@check("invariance", "weights")
def invariance(patient: Patient) -> Iterator[Finding]:
    """Three prompts whose answers differ between a batch and one at a time."""
    for member in patient.members:
        vocabulary = vocabulary_size(member.tokenizer)
        if vocabulary > len(member.model.get_input_embeddings().weight):
            raise CannotRunError(f"{member.whose} lacks embeddings of tokens; see vocabulary")
        sound = sound_decoding(member.model, vocabulary)
        if sound.note:
            yield Finding(
                "warning",
                f"{member.whose}: {sound.note}",
                "kdbench decodes it rightly, but slowly; other tools that batch it get other texts",
                "another version of transformers, or patience",
            )
        yield from _compared(patient, member, sound.begin)
    if isinstance(patient, EvalPatient) and patient.settings.backend.startswith(_OTHERS):
        raise CannotRunError(
            f"the batches of backend={patient.settings.backend} are not looked at, those of "
            "transformers are"
        )


def _compared(patient: Patient, member: Member, begin: Begin) -> Iterator[Finding]:
    import torch

    exact = member.model.dtype == torch.float32
    if patient.of == "train" and not exact:
        return  # rounding changes texts, and a training does not repeat them
    together = _answers(patient, member, begin, _PROMPTS)
    alone = _answers(patient, member, begin, 1)
    differing = sum(a != b for a, b in zip(together, alone, strict=True))
    if not differing:
        return
    kind = str(member.model.dtype).removeprefix("torch.")
    yield Finding(
        "error" if exact else "note",
        f"{member.whose}: {differing} of {len(alone)} greedy answers differ between a batch and "
        f"one at a time, in {kind}",
        "numbers depend on batch_size=, so that a repetition does not give the same texts"
        + ("" if exact else "; rounding does that in low precision"),
        "batch_size=1" if exact else "dtype=float32, or one batch_size= for all runs",
    )


def _answers(
    patient: Patient, member: Member, begin: Begin, size: int
) -> Sequence[tuple[int, ...]]:
    """The tokens of the answers to the first prompts."""
    protocol = replace(get_protocol("greedy"), max_new_tokens=_TOKENS)
    generator = Generator(member.model, member.tokenizer, protocol, size, begin)
    questions = patient.prompts(_PROMPTS)
    rows = [
        Row(str(number), 0, patient.encoded(member, question).ids)
        for number, question in enumerate(questions)
    ]
    samples = (s for batch in generator.batches(rows) for s in generator.generate(batch, ()))
    found = {sample.document: sample.tokens for sample in samples}
    return [found[row.document] for row in rows]
