"""Top-1 agreement: how often student and teacher have the same most likely token.

Metric: mean of 1[argmax p = argmax q] over a response's positions, then over prompts; ties go to
        the lowest id. Most tokens are easy and inflate the number, so it is also taken over the
        positions where the teacher's entropy is above 1 nat, and over those where the teacher's
        most likely token is not the reference's.
Source: Stanton et al. 2021 (arXiv 2106.05945), average top-1 agreement.
"""

from typing import TYPE_CHECKING

from kdbench.metrics import Positions, TokenMetric, metrics

if TYPE_CHECKING:
    import torch

DECISION_ENTROPY = 1.0  # nats


@metrics.register("top1")
class Top1(TokenMetric):
    """Share of positions where both models have the same most likely token."""

    name = "top1"
    unit = "rate"
    direction = "higher"
    perfect = 1.0
    across_tokenizers = True
    from_top_k = "exact"
    curve = True
    on_policy_gap = True

    def values(self, at: Positions) -> "torch.Tensor":
        """Return 0 or 1."""
        return _agree(at)


@metrics.register("top1_decision")
class Top1Decision(TokenMetric):
    """Top-1 agreement where the teacher's entropy is above 1 nat."""

    by_default = False
    name = "top1_decision"
    unit = "rate"
    direction = "higher"
    perfect = 1.0
    from_top_k = "exact"
    needs_entropy = True

    def values(self, at: Positions) -> "torch.Tensor":
        """Return 0 or 1; NaN where the teacher is sure."""
        return _agree(at).where(at.teacher_entropy > DECISION_ENTROPY, float("nan"))


@metrics.register("top1_teacher_wrong")
class Top1TeacherWrong(TokenMetric):
    """Top-1 agreement where the teacher's most likely token is not the reference's."""

    by_default = False
    name = "top1_teacher_wrong"
    unit = "rate"
    direction = "none"
    perfect = 1.0
    sets = ("ref",)
    headline = "ref"
    from_top_k = "exact"

    def values(self, at: Positions) -> "torch.Tensor":
        """Return 0 or 1; NaN where the teacher is right."""
        wrong = at.teacher_top(1)[1][:, 0] != at.targets
        return _agree(at).where(wrong, float("nan"))


def _agree(at: Positions) -> "torch.Tensor":
    return (at.teacher_top(1)[1] == at.student_top(1)[1])[:, 0].float()
