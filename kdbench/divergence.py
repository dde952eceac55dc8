"""Divergences between next-token distributions: training losses and fidelity metrics alike.

Every function takes log-probabilities of the teacher, log p, and of the student, log q, shape
(..., V), and returns shape (...) in nats (total variation: 0 to 1). Both sides must be normalised
over the same V tokens; a teacher's log-probability may be -inf, a student's may not where p > 0.
Formulas: Wen et al. 2023 (f-divergences), Agarwal et al. 2024 (GKD), Ko et al. 2024 (DistiLLM).
"""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from kdbench.errors import InputError

if TYPE_CHECKING:
    import torch

    Divergence = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


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
    """Weighted KL(p‖m) and KL(q‖m): w KL(p‖m) + (1-w) KL(q‖m) with m = w p + (1-w) q.

    Args:
        log_p: teacher.
        log_q: student.
        teacher_weight: w, the teacher's share of the mixture, 0 to 1. At 0.5 it is the
            Jensen-Shannon divergence. The formula vanishes at both ends; as in GKD they are taken
            as its limits divided by w and by 1-w: 0 is KL(p‖q), 1 is KL(q‖p). So the loss jumps
            there, and a weight near an end acts like a small learning rate.

    Raises:
        InputError: a weight outside 0 to 1.
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
    """Skew KL of DistiLLM: KL(p ‖ w p + (1-w) q)."""
    return forward_kl(log_p, mixture(log_p, log_q, teacher_weight))


def skew_reverse_kl(
    log_p: "torch.Tensor", log_q: "torch.Tensor", student_weight: float = 0.1
) -> "torch.Tensor":
    """Skew reverse KL of DistiLLM: KL(q ‖ (1-w) p + w q), the student's share not detached."""
    return skew_kl(log_q, log_p, student_weight)


def total_variation(log_p: "torch.Tensor", log_q: "torch.Tensor") -> "torch.Tensor":
    """Half the sum of |p - q|; 1 minus it is the acceptance rate of speculative decoding."""
    return 0.5 * (log_p.exp() - log_q.exp()).abs().sum(-1)


def adaptive_kl(
    log_p: "torch.Tensor", log_q: "torch.Tensor", tail_mass: float = 0.5
) -> "torch.Tensor":
    """Adaptive KL (Wu et al. 2024): g_h/(g_h+g_t) KL(p‖q) + g_t/(g_h+g_t) KL(q‖p).

    The tail is the teacher's least likely tokens, up to `tail_mass` in sum, the head the rest;
    g is the sum of |p - q| over a part, detached.
    """
    p, q = log_p.exp(), log_q.exp()
    ascending, order = p.sort(-1)
    in_tail = ascending.cumsum(-1) <= tail_mass
    gap = (p - q).abs().gather(-1, order).detach()  # in the order of the mask
    tail, whole = (gap * in_tail).sum(-1), gap.sum(-1)
    share = (tail / whole.clamp(min=1e-12)).clamp(max=1)
    return (1 - share) * forward_kl(log_p, log_q) + share * reverse_kl(log_p, log_q)


def alpha_beta(
    log_p: "torch.Tensor", log_q: "torch.Tensor", alpha: float = 0.2, beta: float = 0.7
) -> "torch.Tensor":
    """Alpha-beta divergence (Cichocki 2011; ABKD), limits included.

    -1/(αβ) sum[p^α q^β - α/(α+β) p^(α+β) - β/(α+β) q^(α+β)]; (1, 0) is KL(p‖q), (0, 1) KL(q‖p).

    Raises:
        InputError: another zero, or α + β = 0.
    """
    if (alpha, beta) == (1, 0):
        return forward_kl(log_p, log_q)
    if (alpha, beta) == (0, 1):
        return reverse_kl(log_p, log_q)
    total = alpha + beta
    if alpha == 0 or beta == 0 or total == 0:
        raise InputError(f"alpha={alpha} beta={beta}: no such limit but (1, 0) and (0, 1)")
    cross = (alpha * log_p + beta * log_q).exp()
    own = alpha / total * (total * log_p).exp() + beta / total * (total * log_q).exp()
    return (own - cross).sum(-1) / (alpha * beta)


def mixture(log_p: "torch.Tensor", log_q: "torch.Tensor", weight: float) -> "torch.Tensor":
    """log(w p + (1-w) q)."""
    if weight in (0, 1):
        return log_p if weight else log_q
    return (log_p + math.log(weight)).logaddexp(log_q + math.log(1 - weight))


def _expectation(log_weights: "torch.Tensor", values: "torch.Tensor") -> "torch.Tensor":
    """Sum of weight times value; a weight of zero counts nothing, whatever the value."""
    weights = log_weights.exp()
    return (weights * values.masked_fill(weights == 0, 0.0)).sum(-1)
