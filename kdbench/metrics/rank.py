"""Whether student and teacher order the teacher's 50 likeliest tokens alike.

Metric: Spearman's rho with mid-ranks, Kendall's tau-b, and Pearson's correlation of the
        log-probabilities (which shift and scale do not change); -1 to 1, mean over a response's
        positions, then over prompts. Never over the whole vocabulary, whose tail is noise. A
        position where one side ranks all alike does not count.
"""

from typing import TYPE_CHECKING

from kdbench.metrics import Positions, TokenMetric, metrics

if TYPE_CHECKING:
    import torch

_TOP = 50


class _Rank(TokenMetric):
    unit = "correlation"
    direction = "higher"
    perfect = 1.0
    from_top_k = "exact"


@metrics.register("spearman")
class Spearman(_Rank):
    """Rank correlation on the teacher's 50 likeliest tokens."""

    name = "spearman"

    def values(self, at: Positions) -> "torch.Tensor":
        """-1 to 1."""
        # A mid-rank is, but for shift and scale, the sum of its comparisons.
        its, ours = (_comparisons(scores).sum(-1) for scores in _scores(at))
        return _correlation(its, ours)


@metrics.register("kendall")
class Kendall(_Rank):
    """Share of pairs in the teacher's order less share in the other, ties counted as tau-b does."""

    name = "kendall"

    def values(self, at: Positions) -> "torch.Tensor":
        """-1 to 1."""
        its, ours = (_comparisons(scores).flatten(1) for scores in _scores(at))
        return (its * ours).sum(-1) / (its.abs().sum(-1) * ours.abs().sum(-1)).sqrt()


@metrics.register("pearson")
class Pearson(_Rank):
    """Linear correlation of log-probabilities on the teacher's 50 likeliest tokens."""

    name = "pearson"

    def values(self, at: Positions) -> "torch.Tensor":
        """-1 to 1."""
        return _correlation(*_scores(at))


def _scores(at: Positions) -> "tuple[torch.Tensor, torch.Tensor]":
    log_p, ids = at.teacher_top(_TOP)
    return log_p, at.student_log_prob(ids)


def _comparisons(scores: "torch.Tensor") -> "torch.Tensor":
    """-1, 0 or 1 for each pair, (n, k) to (n, k, k)."""
    return (scores[:, :, None] - scores[:, None, :]).sign()


def _centred(values: "torch.Tensor") -> "torch.Tensor":
    values = values - values[:, :1]  # so that equals become 0 exactly, and their correlation NaN
    return values - values.mean(-1, keepdim=True)


def _correlation(a: "torch.Tensor", b: "torch.Tensor") -> "torch.Tensor":
    a, b = _centred(a), _centred(b)
    return (a * b).sum(-1) / (a.square().sum(-1) * b.square().sum(-1)).sqrt()
