"""Reverse KL on student responses, restricted to tokens where the student is uncertain.

This is an example of an objective that reads whole responses (`plan`) before chunks (`token`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from kdbench.divergence import reverse_kl
from kdbench.methods import Method
from kdbench.training import Chunk, FromStudent, Objective, Plan, Triple

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class WhereUnsure(Objective):
    """Reverse KL on the highest-entropy tokens of each response.

    Attributes:
        share: Share of the tokens of a response that count.
    """

    share: float = 0.5

    def plan(self, plan: Plan) -> Mapping[str, "torch.Tensor"]:
        """Mark the most uncertain tokens of each response with 1, the others with 0."""
        entropy = plan.entropy("student").masked_fill(~plan.mask, -1)
        kept = (self.share * plan.mask.sum(-1, keepdim=True)).ceil().long()
        threshold = entropy.sort(-1, descending=True).values.gather(-1, kept - 1)
        return {"unsure": (entropy >= threshold).float()}

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """KL(q‖p) at marked tokens, 0 at others."""
        return chunk.plan["unsure"] * reverse_kl(chunk.log_p, chunk.log_q)


class Uncertain(Method):
    """Reverse KL where the student is uncertain."""

    title: ClassVar[str] = "Uncertain"
    paper: ClassVar[str] = "-"
    cost: ClassVar[str] = "teacher forward, student generation"
    share: float = Field(0.5, gt=0, le=1, description="Share of a response's tokens that count")

    def triple(self) -> Triple:
        """The objective on newly sampled student responses."""
        return Triple(WhereUnsure(self.share), FromStudent())
