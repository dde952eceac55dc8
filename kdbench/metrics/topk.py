"""Overlap of the likeliest tokens, and the teacher's mass on the student's.

Metric: `overlap_k` |topk(p) ∩ topk(q)| / k; with k beyond the handful of tokens that matter it
        compares noise, so `overlap_nucleus` takes k from the teacher's 0.95 nucleus (at most 50);
        `hit_k` 1[argmax p in topk(q)]; `mass_k` sum of p over topk(q), which ignores how junk is
        ordered; all 0 to 1, mean over a response's positions, then over prompts.
"""

from typing import TYPE_CHECKING, ClassVar

from kdbench.metrics import Positions, TokenMetric, metrics

if TYPE_CHECKING:
    import torch

_NUCLEUS, _WIDEST = 0.95, 50


class _Overlap(TokenMetric):
    unit = "rate"
    direction = "higher"
    perfect = 1.0
    from_top_k = "exact"
    size: ClassVar[int]

    def values(self, at: Positions) -> "torch.Tensor":
        """0 to 1."""
        ours, its = at.student_top(self.size)[1], at.teacher_top(self.size)[1]
        return _shared(ours, its).float().mean(-1)


@metrics.register("overlap_5")
class Overlap5(_Overlap):
    """Share of the teacher's 5 likeliest tokens among the student's."""

    name = "overlap_5"
    size = 5


@metrics.register("overlap_10")
class Overlap10(_Overlap):
    """Share of the teacher's 10 likeliest tokens among the student's."""

    name = "overlap_10"
    size = 10


@metrics.register("overlap_50")
class Overlap50(_Overlap):
    """Share of the teacher's 50 likeliest tokens among the student's."""

    name = "overlap_50"
    size = 50


@metrics.register("overlap_nucleus")
class OverlapNucleus(TokenMetric):
    """Overlap of as many tokens as the teacher's 0.95 nucleus has, at most 50."""

    name = "overlap_nucleus"
    unit = "rate"
    direction = "higher"
    perfect = 1.0
    from_top_k = "exact"

    def values(self, at: Positions) -> "torch.Tensor":
        """0 to 1."""
        import torch

        log_p, its = at.teacher_top(_WIDEST)
        ours = at.student_top(_WIDEST)[1]
        before = log_p.exp().cumsum(-1) - log_p.exp()  # mass of the likelier ones
        size = (before < _NUCLEUS).sum(-1, keepdim=True)
        rank = torch.arange(its.shape[-1], device=its.device)
        inside = rank < size
        same = (its[:, :, None] == ours[:, None, :]) & inside[:, :, None] & inside[:, None, :]
        return same.any(-1).sum(-1) / size[:, 0]


class _Hit(TokenMetric):
    unit = "rate"
    direction = "higher"
    perfect = 1.0
    from_top_k = "exact"
    size: ClassVar[int]

    def values(self, at: Positions) -> "torch.Tensor":
        """0 or 1."""
        return _shared(at.student_top(self.size)[1], at.teacher_top(1)[1]).float()[:, 0]


@metrics.register("hit_5")
class Hit5(_Hit):
    """Share of positions where the teacher's choice is among the student's 5."""

    name = "hit_5"
    size = 5


@metrics.register("hit_10")
class Hit10(_Hit):
    """Share of positions where the teacher's choice is among the student's 10."""

    name = "hit_10"
    size = 10


class _Mass(TokenMetric):
    unit = "rate"
    direction = "higher"
    from_top_k = "lower"
    size: ClassVar[int]

    def values(self, at: Positions) -> "torch.Tensor":
        """0 to 1."""
        ids = at.student_top(self.size)[1]
        return at.teacher_log_prob(ids).exp().sum(-1).clamp(max=1)  # rounding, at most


@metrics.register("mass_1")
class Mass1(_Mass):
    """The teacher's probability of the student's likeliest token."""

    name = "mass_1"
    size = 1


@metrics.register("mass_5")
class Mass5(_Mass):
    """The teacher's probability of the student's 5 likeliest tokens."""

    name = "mass_5"
    size = 5


@metrics.register("mass_10")
class Mass10(_Mass):
    """The teacher's probability of the student's 10 likeliest tokens."""

    name = "mass_10"
    size = 10


@metrics.register("mass_50")
class Mass50(_Mass):
    """The teacher's probability of the student's 50 likeliest tokens."""

    name = "mass_50"
    size = 50


def _shared(ours: "torch.Tensor", its: "torch.Tensor") -> "torch.Tensor":
    """Which of its ids are among ours: (n, a), (n, b) to bool (n, b)."""
    return (its[:, :, None] == ours[:, None, :]).any(-1)
