"""Correlation of student and teacher over the teacher's 50 most likely tokens.

Metric: Spearman's rho with mid-ranks, Kendall's tau-b, and Pearson's correlation of the
        log-probabilities (invariant to shift and scale); -1 to 1, mean over a response's positions,
        then over prompts. The rest of the vocabulary is left out because its order is noise. A
        position where one model gives all 50 tokens the same probability does not count.
"""

from typing import TYPE_CHECKING

from kdbench.metrics import Positions, TokenMetric, metrics

if TYPE_CHECKING:
    import torch

_TOP = 50


class _Rank(TokenMetric):
    by_default = False
    unit = "correlation"
    direction = "higher"
    perfect = 1.0
    from_top_k = "exact"


@metrics.register("spearman")
class Spearman(_Rank):
    """Spearman's rank correlation over the teacher's 50 most likely tokens."""

    name = "spearman"

    def values(self, at: Positions) -> "torch.Tensor":
        """Return the correlation, -1 to 1."""
        # Up to shift and scale, a mid-rank is the sum of the token's comparisons.
        teacher, student = (_comparisons(scores).sum(-1) for scores in _scores(at))
        return _correlation(teacher, student)


@metrics.register("kendall")
class Kendall(_Rank):
    """Kendall's rank correlation tau-b over the teacher's 50 most likely tokens."""

    name = "kendall"

    def values(self, at: Positions) -> "torch.Tensor":
        """Return the correlation, -1 to 1."""
        teacher, student = (_comparisons(scores).flatten(1) for scores in _scores(at))
        untied = (teacher.abs().sum(-1) * student.abs().sum(-1)).sqrt()
        return (teacher * student).sum(-1) / untied


@metrics.register("pearson")
class Pearson(_Rank):
    """Pearson's correlation of log-probabilities over the teacher's 50 most likely tokens."""

    name = "pearson"

    def values(self, at: Positions) -> "torch.Tensor":
        """Return the correlation, -1 to 1."""
        return _correlation(*_scores(at))


def _scores(at: Positions) -> "tuple[torch.Tensor, torch.Tensor]":
    log_p, ids = at.teacher_top(_TOP)
    return log_p, at.student_log_prob(ids)


def _comparisons(scores: "torch.Tensor") -> "torch.Tensor":
    """Compare each pair of tokens: -1, 0 or 1, (n, k) to (n, k, k)."""
    return (scores[:, :, None] - scores[:, None, :]).sign()


def _centred(values: "torch.Tensor") -> "torch.Tensor":
    values = values - values[:, :1]  # equal values become exactly 0, and their correlation NaN
    return values - values.mean(-1, keepdim=True)


def _correlation(a: "torch.Tensor", b: "torch.Tensor") -> "torch.Tensor":
    a, b = _centred(a), _centred(b)
    return (a * b).sum(-1) / (a.square().sum(-1) * b.square().sum(-1)).sqrt()
