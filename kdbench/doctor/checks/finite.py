"""Weights that load, are numbers, and give logits that are numbers."""

from collections.abc import Iterator

from kdbench.doctor.check import check
from kdbench.doctor.finding import Finding
from kdbench.doctor.member import Member
from kdbench.doctor.patient import Patient
from kdbench.views.probe import plain_logits, plainly

_PROMPTS = 3
_NEAR_OVERFLOW = 3e4  # half of float16's largest number


@check("finite", "weights")
def finite(patient: Patient) -> Iterator[Finding]:
    """Weights that cannot be loaded or are no numbers, and logits that are not finite."""
    for member in patient.members:
        with plainly(member.model):
            yield from _logits(patient, member)


def _logits(patient: Patient, member: Member) -> Iterator[Finding]:
    import torch

    largest = 0.0
    for question in patient.prompts(_PROMPTS):
        ids = patient.encoded(member, question).ids
        if max(ids) >= len(member.model.get_input_embeddings().weight):
            return  # reported by `vocabulary`
        logits = plain_logits(member.model, ids)
        if not torch.isfinite(logits).all():
            yield Finding(
                "error",
                f"{member.whose}: the logits of a prompt are not finite, in "
                f"{str(member.model.dtype).removeprefix('torch.')}",
                "every later token is noise, or the run stops",
                "dtype=bfloat16 or float32; if they are not finite there either, other weights",
            )
            return
        largest = max(largest, float(logits.abs().max()))
    if member.model.dtype == torch.float16 and largest > _NEAR_OVERFLOW:
        yield Finding(
            "warning",
            f"{member.whose}: logits reach {largest:.3g} in float16, whose largest number is 65504",
            "other prompts may overflow",
            "dtype=bfloat16",
        )
