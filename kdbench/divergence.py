"""Divergences between next-token distributions, for training losses and fidelity metrics.

Every function takes log-probabilities of the teacher, log p, and of the student, log q, of shape
(..., V), and returns shape (...) in nats (total variation: 0 to 1). Both sides must be normalised
over the same V tokens. A teacher's log-probability may be -inf; a student's may not where p > 0.
Formulas: Wen et al. 2023 (f-divergences), Agarwal et al. 2024 (GKD), Ko et al. 2024 (DistiLLM),
Cichocki et al. 2011 (alpha-beta).
"""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from kdbench.errors import InputError

if TYPE_CHECKING:
    import torch

    Divergence = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

_LARGEST_EXPONENT = 64.0  # e^64 may be added up over any vocabulary in float32


def entropy(log_p: "torch.Tensor") -> "torch.Tensor":
    """H(p) = -sum p log p."""
    return -_expectation(log_p, log_p)


def cross_entropy(log_p: "torch.Tensor", log_q: "torch.Tensor") -> "torch.Tensor":
    """-sum p log q."""
    return -_expectation(log_p, log_q)


def forward_kl(log_p: "torch.Tensor", log_q: "torch.Tensor") -> "torch.Tensor":
    """KL(p‖q) = sum p (log p - log q)."""
    return _expectation(log_p, log_p - log_q)


def reverse_kl(log_p: "torch.Tensor", log_q: "torch.Tensor") -> "torch.Tensor":
    """KL(q‖p)."""
    return forward_kl(log_q, log_p)


def generalised_jsd(
    log_p: "torch.Tensor", log_q: "torch.Tensor", teacher_weight: float = 0.5
) -> "torch.Tensor":
    """Generalised Jensen-Shannon: w KL(p‖m) + (1-w) KL(q‖m) with m = w p + (1-w) q.

    The formula vanishes at w = 0 and w = 1. As in TRL, the values there are the limits of the
    formula divided by w and by 1-w: KL(p‖q) at 0 and KL(q‖p) at 1. So the loss jumps at both ends,
    and a weight near an end acts like a small learning rate.

    Args:
        log_p: The teacher's log-probabilities.
        log_q: The student's log-probabilities.
        teacher_weight: w, the teacher's share of the mixture, 0 to 1; 0.5 is the Jensen-Shannon
            divergence.

    Raises:
        InputError: the weight is outside 0 to 1.
    """
    if not 0 <= teacher_weight <= 1:
        raise InputError(f"teacher_weight={teacher_weight}: must be 0 to 1")
    if teacher_weight in (0, 1):
        return reverse_kl(log_p, log_q) if teacher_weight else forward_kl(log_p, log_q)
    log_m = mixture(log_p, log_q, teacher_weight)
    of_teacher = forward_kl(log_p, log_m)
    return teacher_weight * of_teacher + (1 - teacher_weight) * forward_kl(log_q, log_m)


def skew_kl(
    log_p: "torch.Tensor", log_q: "torch.Tensor", teacher_weight: float = 0.1
) -> "torch.Tensor":
    """Skew KL (DistiLLM): KL(p ‖ w p + (1-w) q)."""
    return forward_kl(log_p, mixture(log_p, log_q, teacher_weight))


def skew_reverse_kl(
    log_p: "torch.Tensor", log_q: "torch.Tensor", student_weight: float = 0.1
) -> "torch.Tensor":
    """Skew reverse KL (DistiLLM): KL(q ‖ (1-w) p + w q), the student's share not detached."""
    return skew_kl(log_q, log_p, student_weight)


def total_variation(log_p: "torch.Tensor", log_q: "torch.Tensor") -> "torch.Tensor":
    """Half the sum of |p - q|; one minus it is the acceptance rate of speculative decoding."""
    return 0.5 * (log_p.exp() - log_q.exp()).abs().sum(-1)


def jeffreys(
    log_p: "torch.Tensor",
    log_q: "torch.Tensor",
    forward_weight: float = 1.0,
    reverse_weight: float = 1.0,
) -> "torch.Tensor":
    """Symmetric KL (Jeffreys 1946): KL(p‖q) + KL(q‖p), each with a weight of its own.

    Args:
        log_p: The teacher's log-probabilities.
        log_q: The student's log-probabilities.
        forward_weight: Weight of KL(p‖q), 0 or more.
        reverse_weight: Weight of KL(q‖p), 0 or more.

    Raises:
        InputError: a weight is negative, or both are 0.
    """
    if min(forward_weight, reverse_weight) < 0 or forward_weight == reverse_weight == 0:
        raise InputError(
            f"forward_weight={forward_weight} reverse_weight={reverse_weight}: must be 0 or more, "
            "and not both 0"
        )
    if not forward_weight or not reverse_weight:  # 0 times infinity is no number
        side = forward_kl if forward_weight else reverse_kl
        return (forward_weight or reverse_weight) * side(log_p, log_q)
    forward = forward_weight * forward_kl(log_p, log_q)
    return forward + reverse_weight * reverse_kl(log_p, log_q)


def adaptive_kl(
    log_p: "torch.Tensor",
    log_q: "torch.Tensor",
    head_mass: float = 0.5,
    boundary: Literal["tail", "head"] = "tail",
) -> "torch.Tensor":
    """Adaptive KL (Wu et al. 2024): g_h/(g_h+g_t) KL(p‖q) + g_t/(g_h+g_t) KL(q‖p).

    The head is the teacher's most likely tokens, as long as their total probability is at most
    `head_mass`; the most likely token is always in it. g_h and g_t are the sums of |p - q| over
    head and tail, detached.

    Args:
        log_p: The teacher's log-probabilities.
        log_q: The student's log-probabilities.
        head_mass: Largest probability of the head, 0 to 1; μ in the paper.
        boundary: Where the token belongs with which the head would pass `head_mass`: `tail` as in
            the authors' code, or `head` as in DSKD's, which sorts the tokens the other way round.

    Raises:
        InputError: the boundary is neither.
    """
    import torch

    if boundary not in ("tail", "head"):
        raise InputError(f"boundary={boundary}: must be tail or head")
    p, q = log_p.exp(), log_q.exp()
    descending, order = p.sort(-1, descending=True)
    mass = descending.cumsum(-1)  # with the token itself
    is_past = mass > head_mass if boundary == "tail" else mass - descending >= head_mass
    in_tail = is_past & (torch.arange(p.shape[-1], device=p.device) > 0)
    gap = (p - q).abs().gather(-1, order).detach()  # in the order of the mask
    tail_gap, total_gap = (gap * in_tail).sum(-1), gap.sum(-1)
    tail_share = (tail_gap / total_gap.clamp(min=1e-12)).clamp(max=1)
    return (1 - tail_share) * forward_kl(log_p, log_q) + tail_share * reverse_kl(log_p, log_q)


def alpha_beta(
    log_p: "torch.Tensor", log_q: "torch.Tensor", alpha: float = 0.2, beta: float = 0.7
) -> "torch.Tensor":
    """Alpha-beta divergence (Cichocki et al. 2011; ABKD) for every α and β, with its limits.

    -1/(αβ) sum[p^α q^β - α/(α+β) p^(α+β) - β/(α+β) q^(α+β)], and in the limit, as in ABKD's code:
      (α, 0): 1/α² sum[p^α log(p^α/q^α) - p^α + q^α], which is KL(p‖q) at α = 1;
      (0, β): the same with the sides exchanged, which is KL(q‖p) at β = 1;
      (α, -α): 1/α² sum[(p/q)^α - 1 - log (p/q)^α];
      (0, 0): half the sum of (log p - log q)².
    It is symmetric for α = β.

    Where a power is negative, it may be larger than any float. There a probability is taken as at
    least e^-(64/s), with the sum s of the negative powers' sizes, and has no gradient below that.
    The limits (0, β) and (0, 0) are infinite where the teacher's probability is 0.
    """
    if alpha == 0:
        # D(α, β) of p and q is D(β, α) of q and p.
        return _log_distance(log_p, log_q) if beta == 0 else alpha_beta(log_q, log_p, beta, 0)
    if (alpha, beta) == (1, 0):
        return forward_kl(log_p, log_q)
    if steepness := max(-alpha, 0) + max(-beta, 0):
        least = -_LARGEST_EXPONENT / steepness
        log_p, log_q = log_p.clamp(min=least), log_q.clamp(min=least)
    total = alpha + beta
    if total == 0:
        log_ratio = alpha * (log_p - log_q)
        return (log_ratio.expm1() - log_ratio).sum(-1) / alpha**2
    if beta == 0:
        of_p, of_q = alpha * log_p, alpha * log_q
        return (_expectation(of_p, of_p - of_q) + (of_q.exp() - of_p.exp()).sum(-1)) / alpha**2
    cross = (alpha * log_p + beta * log_q).exp()
    powers = alpha / total * (total * log_p).exp() + beta / total * (total * log_q).exp()
    return (powers - cross).sum(-1) / (alpha * beta)


def _log_distance(log_p: "torch.Tensor", log_q: "torch.Tensor") -> "torch.Tensor":
    """Half the sum of (log p - log q)²."""
    return 0.5 * (log_p - log_q).square().sum(-1)


def mixture(
    log_p: "torch.Tensor", log_q: "torch.Tensor", weight: "float | torch.Tensor"
) -> "torch.Tensor":
    """log(w p + (1-w) q), w a number or one of each position, (..., 1)."""
    if not isinstance(weight, int | float):
        return (log_p + weight.log()).logaddexp(log_q + (-weight).log1p())
    if weight in (0, 1):
        return log_p if weight else log_q
    return (log_p + math.log(weight)).logaddexp(log_q + math.log(1 - weight))


def _expectation(log_weights: "torch.Tensor", values: "torch.Tensor") -> "torch.Tensor":
    """The sum of weight times value; where the weight is 0, the value is ignored."""
    weights = log_weights.exp()
    return (weights * values.masked_fill(weights == 0, 0.0)).sum(-1)
