"""Top-1 agreement: how often student and teacher would greedily choose the same token.

Metric: mean of 1[argmax p = argmax q] over a response's positions, then over prompts; of equally
        likely tokens the lowest id counts. Most tokens are easy and inflate it, so it is also taken
        over the decisions alone, where the teacher's entropy is above 1 nat, and where the teacher
        itself is wrong about the reference.
Source: Stanton et al. 2021 (arXiv 2106.05945), average top-1 agreement.
"""

from typing import TYPE_CHECKING

from kdbench.metrics import Positions, TokenMetric, metrics

if TYPE_CHECKING:
    import torch

DECISION_ENTROPY = 1.0  # nats


@metrics.register("top1")
class Top1(TokenMetric):
    """Share of positions where the likeliest token is the teacher's."""

    name = "top1"
    unit = "rate"
    direction = "higher"
    perfect = 1.0
    from_top_k = "exact"
    curve = True
    on_policy_gap = True

    def values(self, at: Positions) -> "torch.Tensor":
        """0 or 1."""
        return _agree(at)


@metrics.register("top1_decision")
class Top1Decision(TokenMetric):
    """Top-1 agreement where the teacher's entropy is above 1 nat."""

    name = "top1_decision"
    unit = "rate"
    direction = "higher"
    perfect = 1.0
    from_top_k = "exact"
    needs_entropy = True

    def values(self, at: Positions) -> "torch.Tensor":
        """0 or 1; NaN where the teacher is sure."""
        return _agree(at).where(at.teacher_entropy > DECISION_ENTROPY, float("nan"))


@metrics.register("top1_teacher_wrong")
class Top1TeacherWrong(TokenMetric):
    """Top-1 agreement where the teacher's likeliest token is not the reference's."""

    name = "top1_teacher_wrong"
    unit = "rate"
    direction = "none"
    perfect = 1.0
    sets = ("ref",)
    headline = "ref"
    from_top_k = "exact"

    def values(self, at: Positions) -> "torch.Tensor":
        """0 or 1; NaN where the teacher is right."""
        wrong = at.teacher_top(1)[1][:, 0] != at.targets
        return _agree(at).where(wrong, float("nan"))


def _agree(at: Positions) -> "torch.Tensor":
    return (at.teacher_top(1)[1] == at.student_top(1)[1])[:, 0].float()
