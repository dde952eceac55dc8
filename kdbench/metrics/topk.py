"""Overlap of the two models' top k, and the teacher's probability of the student's.

Metric: `overlap_k` is |topk(p) ∩ topk(q)| / k. With k beyond the handful of tokens that matter it
        compares noise, so `overlap_nucleus` takes k from the teacher's 0.95 nucleus (at most 50).
        `hit_k` is 1[argmax p in topk(q)]. `mass_k` is the sum of p over topk(q), which ignores the
        order of unlikely tokens. All are 0 to 1, mean over a response's positions, then over
        prompts.
"""

from typing import TYPE_CHECKING, ClassVar

from kdbench.metrics import Positions, TokenMetric, metrics

if TYPE_CHECKING:
    import torch

_NUCLEUS, _WIDEST = 0.95, 50


class _Overlap(TokenMetric):
    by_default = False
    unit = "rate"
    direction = "higher"
    perfect = 1.0
    from_top_k = "exact"
    size: ClassVar[int]

    def values(self, at: Positions) -> "torch.Tensor":
        """Return the share, 0 to 1."""
        student, teacher = at.student_top(self.size)[1], at.teacher_top(self.size)[1]
        return _shared(student, teacher).float().mean(-1)


@metrics.register("overlap_5")
class Overlap5(_Overlap):
    """Share of the teacher's top 5 tokens in the student's top 5."""

    name = "overlap_5"
    size = 5


@metrics.register("overlap_10")
class Overlap10(_Overlap):
    """Share of the teacher's top 10 tokens in the student's top 10."""

    name = "overlap_10"
    size = 10


@metrics.register("overlap_50")
class Overlap50(_Overlap):
    """Share of the teacher's top 50 tokens in the student's top 50."""

    name = "overlap_50"
    size = 50


@metrics.register("overlap_nucleus")
class OverlapNucleus(TokenMetric):
    """Overlap of the top k, where k is the size of the teacher's 0.95 nucleus, at most 50."""

    by_default = False
    name = "overlap_nucleus"
    unit = "rate"
    direction = "higher"
    perfect = 1.0
    from_top_k = "exact"

    def values(self, at: Positions) -> "torch.Tensor":
        """Return the share, 0 to 1."""
        import torch

        log_p, teacher = at.teacher_top(_WIDEST)
        student = at.student_top(_WIDEST)[1]
        before = log_p.exp().cumsum(-1) - log_p.exp()  # probability of the more likely tokens
        size = (before < _NUCLEUS).sum(-1, keepdim=True)
        rank = torch.arange(teacher.shape[-1], device=teacher.device)
        inside = rank < size
        same = (
            (teacher[:, :, None] == student[:, None, :]) & inside[:, :, None] & inside[:, None, :]
        )
        return same.any(-1).sum(-1) / size[:, 0]


class _Hit(TokenMetric):
    by_default = False
    unit = "rate"
    direction = "higher"
    perfect = 1.0
    from_top_k = "exact"
    size: ClassVar[int]

    def values(self, at: Positions) -> "torch.Tensor":
        """Return 0 or 1."""
        return _shared(at.student_top(self.size)[1], at.teacher_top(1)[1]).float()[:, 0]


@metrics.register("hit_5")
class Hit5(_Hit):
    """Share of positions where the teacher's most likely token is in the student's top 5."""

    name = "hit_5"
    size = 5


@metrics.register("hit_10")
class Hit10(_Hit):
    """Share of positions where the teacher's most likely token is in the student's top 10."""

    name = "hit_10"
    size = 10


class _Mass(TokenMetric):
    by_default = False
    unit = "rate"
    direction = "higher"
    from_top_k = "lower"
    size: ClassVar[int]

    def values(self, at: Positions) -> "torch.Tensor":
        """Return the share, 0 to 1."""
        ids = at.student_top(self.size)[1]
        return at.teacher_log_prob(ids).exp().sum(-1).clamp(max=1)  # removes rounding errors


@metrics.register("mass_1")
class Mass1(_Mass):
    """The teacher's probability of the student's most likely token."""

    name = "mass_1"
    size = 1


@metrics.register("mass_5")
class Mass5(_Mass):
    """The teacher's probability of the student's top 5 tokens."""

    name = "mass_5"
    size = 5


@metrics.register("mass_10")
class Mass10(_Mass):
    """The teacher's probability of the student's top 10 tokens."""

    name = "mass_10"
    size = 10


@metrics.register("mass_50")
class Mass50(_Mass):
    """The teacher's probability of the student's top 50 tokens."""

    name = "mass_50"
    size = 50


def _shared(student: "torch.Tensor", teacher: "torch.Tensor") -> "torch.Tensor":
    """Mark the teacher's ids that are among the student's: (n, a), (n, b) to bool (n, b)."""
    return (teacher[:, :, None] == student[:, None, :]).any(-1)
