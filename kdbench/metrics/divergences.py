"""Divergences between the teacher's next-token distribution p and the student's q.

Metric: mean over a response's positions, then over prompts, at temperature 1 whatever the protocol
        samples at; nats, but for total variation. Acceptance = 1 - TVD is the rate at which the
        teacher would accept the student's drafts in speculative decoding. `fkl@teacher` and
        `rkl@student` are the pair that estimates sequence KLs, a token at a time; `k1` and `k3`
        estimate the same from the chosen tokens alone: p‖q on the teacher's responses, q‖p on the
        student's, where these are plain
        samples (an n-gram rule biases them a little). A KL is infinite where one side rules a token
        out.
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
    """KL(p‖q): what of the teacher the student misses."""

    name = "fkl"
    unit = "nats"
    direction = "lower"
    perfect = 0.0
    headline = "teacher"
    from_top_k = "lower"
    curve = True
    on_policy_gap = True

    def values(self, at: Positions) -> "torch.Tensor":
        """0 and above."""
        return divergence.forward_kl(at.log_p, at.log_q).clamp(min=0)  # rounding, at most


@metrics.register("rkl")
class ReverseKL(TokenMetric):
    """KL(q‖p): what the student says that the teacher would not."""

    name = "rkl"
    unit = "nats"
    direction = "lower"
    perfect = 0.0
    from_top_k = "lower"
    on_policy_gap = True

    def values(self, at: Positions) -> "torch.Tensor":
        """0 and above."""
        return divergence.reverse_kl(at.log_p, at.log_q).clamp(min=0)


@metrics.register("jsd")
class JensenShannon(TokenMetric):
    """Jensen-Shannon divergence, at most ln 2."""

    name = "jsd"
    unit = "nats"
    direction = "lower"
    perfect = 0.0
    from_top_k = "lower"
    on_policy_gap = True

    def values(self, at: Positions) -> "torch.Tensor":
        """0 to ln 2."""
        return divergence.generalised_jsd(at.log_p, at.log_q).clamp(0, math.log(2))


@metrics.register("tvd")
class TotalVariation(TokenMetric):
    """Total variation distance, half the sum of |p - q|."""

    name = "tvd"
    unit = "rate"
    direction = "lower"
    perfect = 0.0
    from_top_k = "lower"
    on_policy_gap = True

    def values(self, at: Positions) -> "torch.Tensor":
        """0 to 1."""
        return _total_variation(at)


@metrics.register("acceptance")
class Acceptance(TokenMetric):
    """1 - TVD: share of the student's drafts that the teacher accepts."""

    name = "acceptance"
    unit = "rate"
    direction = "higher"
    perfect = 1.0
    from_top_k = "upper"
    curve = True
    on_policy_gap = True

    def values(self, at: Positions) -> "torch.Tensor":
        """0 to 1."""
        return 1 - _total_variation(at)


@metrics.register("k1")
class K1(TokenMetric):
    """Unbiased estimate of the sampler's KL from its own tokens; may be negative."""

    name = "k1"
    unit = "nats"
    direction = "none"
    perfect = 0.0
    sets = ("teacher", "student")
    from_top_k = "exact"
    of_plain_samples = True

    def values(self, at: Positions) -> "torch.Tensor":
        """-log r."""
        return -_log_ratio(at)


@metrics.register("k3")
class K3(TokenMetric):
    """Estimate of the sampler's KL from its own tokens: unbiased too, never negative."""

    name = "k3"
    unit = "nats"
    direction = "lower"
    perfect = 0.0
    sets = ("teacher", "student")
    from_top_k = "exact"
    of_plain_samples = True

    def values(self, at: Positions) -> "torch.Tensor":
        """R - 1 - log r."""
        log_ratio = _log_ratio(at)
        return log_ratio.expm1() - log_ratio


def _log_ratio(at: Positions) -> "torch.Tensor":
    """Log r: the other model's probability of the token over its sampler's."""
    log_ratio = at.target_log_p - at.target_log_q
    return -log_ratio if at.set == "teacher" else log_ratio


def _total_variation(at: Positions) -> "torch.Tensor":
    return divergence.total_variation(at.log_p, at.log_q).clamp(0, 1)
