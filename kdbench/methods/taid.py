"""TAID: the target moves from the student's distribution to the teacher's.

Paper: Shing et al. 2025 (arXiv 2501.16937).
Objective: -sum p_t log q, p_t = softmax((1-t) z_student + t z_teacher), the student's part
    detached. This is KL(p_t‖q) plus the entropy of p_t, which has no gradient but affects the
    schedule.
Schedule: t rises from `start` to 1, at least linearly, and faster while the distillation loss
    falls, to which the texts of `pretraining=` do not belong. In runs of up to a few thousand steps
    it is the linear schedule, unless `step_size` is larger than the paper's.
Data: the dataset's responses.
"""

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from kdbench.divergence import cross_entropy
from kdbench.methods import Method, methods
from kdbench.training import Chunk, Objective, RisingInterpolation, Triple
from kdbench.training.target import interpolated

if TYPE_CHECKING:
    import torch


class TowardTeacher(Objective):
    """Cross-entropy to the interpolated target."""

    floor: ClassVar[float | None] = None  # the target's entropy

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """Minus the sum of p_t log q."""
        weight = chunk.schedule["teacher_weight"]
        target = interpolated(chunk.logits, chunk.view_logits("teacher"), weight)
        return cross_entropy(target, chunk.log_q)

    def __str__(self) -> str:
        return "cross_entropy(interpolated)"


@methods.register("taid")
class TAID(Method):
    """Cross-entropy to a target that moves from the student to the teacher."""

    title: ClassVar[str] = "TAID"
    paper: ClassVar[str] = "Shing et al. 2025, arXiv 2501.16937"
    cost: ClassVar[str] = "teacher forward"
    family: ClassVar[str] = "logits"
    basis: ClassVar[str] = "paper and authors' code"
    start: float = Field(0.4, ge=0, le=1, description="initial t, the teacher's weight")
    step_size: float = Field(5e-4, ge=0, description="α, largest rise of t in a step")
    momentum: float = Field(0.99, ge=0, lt=1, description="β, momentum of the loss's relative fall")

    def triple(self) -> Triple:
        """The moving target on the dataset."""
        schedule = RisingInterpolation(self.start, self.step_size, self.momentum)
        return Triple(TowardTeacher(), schedule=schedule)
