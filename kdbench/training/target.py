"""Target transforms: distributions for the student to match, made from the teacher's.

All functions work on the last axis, over V tokens, and return log-probabilities.
"""

import math
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

# Below it logits of size 1 are equal but for rounding, which must not become a target.
_LEAST_SPREAD = 1e-6


def tempered(logits: "torch.Tensor", temperature: float) -> "torch.Tensor":
    """softmax(z / T): sharper for T < 1."""
    return (logits / temperature).log_softmax(-1)


def standardised(logits: "torch.Tensor") -> "torch.Tensor":
    """softmax((z - mean) / std) (logit standardisation, Sun et al. 2024), std over V - 1.

    Where all logits are equal it is even, and has no gradient of the std, which would be NaN.
    """
    import torch

    centred = logits - logits.mean(-1, keepdim=True)
    variance = logits.var(-1, keepdim=True)
    spread = variance > _LEAST_SPREAD**2
    return (centred / torch.where(spread, variance, 1.0).sqrt()).log_softmax(-1)


def interpolated(
    student_logits: "torch.Tensor", teacher_logits: "torch.Tensor", teacher_weight: float
) -> "torch.Tensor":
    """softmax((1-t) z_student + t z_teacher), the student detached (TAID, Shing et al. 2025)."""
    mixed = (1 - teacher_weight) * student_logits.detach() + teacher_weight * teacher_logits
    return mixed.log_softmax(-1)


def top_k(log_p: "torch.Tensor", k: int) -> "torch.Tensor":
    """The k most likely tokens, renormalised; -inf elsewhere."""
    import torch

    kept = log_p.topk(k, dim=-1)
    sparse = torch.full_like(log_p, -torch.inf)
    return sparse.scatter(-1, kept.indices, kept.values.log_softmax(-1))


def contrast(
    log_p: "torch.Tensor",
    log_c: "torch.Tensor",
    strength: float,
    plausibility: float = 0.1,
    implausible: Literal["zero", "teacher"] = "zero",
) -> "torch.Tensor":
    """Toward the teacher and away from a weaker model: proportional to p (p/c)^strength.

    This is contrastive decoding (Li et al. 2023) as a target. Among tokens that the teacher finds
    unlikely, a tiny c would decide alone; so only tokens with p >= plausibility * max p are
    contrasted.

    Args:
        log_p: The teacher's log-probabilities, normalised.
        log_c: Those of the weaker model (classmate), normalised.
        strength: Strength of the contrast; 0 leaves the teacher as it is.
        plausibility: Share of the teacher's largest probability, 0 to 1; 0 contrasts every token.
        implausible: What the other tokens get. `zero` is -inf, for divergences that are finite
            there, such as skewed ones; `teacher` keeps the teacher's probability.
    """
    import torch

    cut = math.log(plausibility) if plausibility > 0 else -math.inf
    plausible = log_p >= log_p.max(-1, keepdim=True).values + cut
    scores = (1 + strength) * log_p - strength * log_c
    contrasted = scores.masked_fill(~plausible, -torch.inf).log_softmax(-1)
    if implausible == "zero":
        return contrasted
    kept_mass = log_p.masked_fill(~plausible, -torch.inf).logsumexp(-1, keepdim=True)
    return torch.where(plausible, contrasted + kept_mass, log_p)
