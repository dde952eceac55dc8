"""Divergences between the teacher's next-token distribution p and the student's q.

Metric: mean over a response's positions, then over prompts, at temperature 1 whatever temperature
        the protocol samples at; divergences are in nats. Acceptance is 1 - total variation: the
        rate at which the teacher would accept the student's drafts in speculative decoding.
        `fkl@teacher` and `rkl@student` are the pair that estimates the sequence-level KLs, token
        by token. `k1` and `k3` estimate the same KLs from the sampled tokens alone: p‖q on the
        teacher's responses, q‖p on the student's, if these are plain samples (an n-gram rule
        biases them a little). A KL is infinite if one model gives zero probability to a token that
        the other allows.
Source: the training losses of the same names (`kdbench.divergence`); Leviathan et al. 2023
        (acceptance); Schulman 2020 (k1, k3).
"""

import math
from typing import TYPE_CHECKING

from kdbench import divergence
from kdbench.metrics import Positions, TokenMetric, metrics

if TYPE_CHECKING:
    import torch


@metrics.register("fkl")
class ForwardKL(TokenMetric):
    """Forward KL divergence KL(p‖q), with the teacher p first."""

    name = "fkl"
    unit = "nats"
    direction = "lower"
    perfect = 0.0
    headline = "teacher"
    across_tokenizers = True
    from_top_k = "lower"
    curve = True
    on_policy_gap = True

    def values(self, at: Positions) -> "torch.Tensor":
        """Return the divergence, 0 or more."""
        return divergence.forward_kl(at.log_p, at.log_q).clamp(min=0)  # removes rounding errors


@metrics.register("rkl")
class ReverseKL(TokenMetric):
    """Reverse KL divergence KL(q‖p), with the student q first."""

    name = "rkl"
    unit = "nats"
    direction = "lower"
    perfect = 0.0
    across_tokenizers = True
    from_top_k = "lower"
    on_policy_gap = True

    def values(self, at: Positions) -> "torch.Tensor":
        """Return the divergence, 0 or more."""
        return divergence.reverse_kl(at.log_p, at.log_q).clamp(min=0)


@metrics.register("jsd")
class JensenShannon(TokenMetric):
    """Jensen-Shannon divergence of teacher and student, at most ln 2."""

    by_default = False
    name = "jsd"
    unit = "nats"
    direction = "lower"
    perfect = 0.0
    across_tokenizers = True
    from_top_k = "lower"
    on_policy_gap = True

    def values(self, at: Positions) -> "torch.Tensor":
        """Return the divergence, 0 to ln 2."""
        return divergence.generalised_jsd(at.log_p, at.log_q).clamp(0, math.log(2))


@metrics.register("acceptance")
class Acceptance(TokenMetric):
    """Acceptance rate of the student's drafts in speculative decoding: 1 - total variation."""

    name = "acceptance"
    unit = "rate"
    direction = "higher"
    perfect = 1.0
    across_tokenizers = True
    from_top_k = "upper"
    curve = True
    on_policy_gap = True

    def values(self, at: Positions) -> "torch.Tensor":
        """Return 1 - total variation, 0 to 1."""
        return 1 - divergence.total_variation(at.log_p, at.log_q).clamp(0, 1)


@metrics.register("k1")
class K1(TokenMetric):
    """Unbiased estimate of the sampling model's KL from its sampled tokens; may be negative."""

    by_default = False
    name = "k1"
    unit = "nats"
    direction = "none"
    perfect = 0.0
    sets = ("teacher", "student")
    from_top_k = "exact"
    of_plain_samples = True

    def values(self, at: Positions) -> "torch.Tensor":
        """Return -log r."""
        return -_log_ratio(at)


@metrics.register("k3")
class K3(TokenMetric):
    """Unbiased, non-negative estimate of the sampling model's KL from its sampled tokens."""

    by_default = False
    name = "k3"
    unit = "nats"
    direction = "lower"
    perfect = 0.0
    sets = ("teacher", "student")
    from_top_k = "exact"
    of_plain_samples = True

    def values(self, at: Positions) -> "torch.Tensor":
        """Return r - 1 - log r."""
        log_ratio = _log_ratio(at)
        return log_ratio.expm1() - log_ratio


def _log_ratio(at: Positions) -> "torch.Tensor":
    """Log r: the other model's probability of the token / the sampling model's."""
    log_ratio = at.target_log_p - at.target_log_q
    return -log_ratio if at.set == "teacher" else log_ratio
