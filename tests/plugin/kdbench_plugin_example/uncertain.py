"""Reverse KL on student responses, where the student is unsure.

An example of an objective that looks at whole responses (`plan`) before chunks (`token`).
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
    """Reverse KL on the tokens of highest entropy of each response."""

    share: float = 0.5

    def plan(self, plan: Plan) -> Mapping[str, "torch.Tensor"]:
        """1 on each response's most uncertain tokens, 0 on the others."""
        entropy = plan.entropy("student").masked_fill(~plan.mask, -1)
        kept = (self.share * plan.mask.sum(-1, keepdim=True)).ceil().long()
        threshold = entropy.sort(-1, descending=True).values.gather(-1, kept - 1)
        return {"unsure": (entropy >= threshold).float()}

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """KL(q‖p), or nothing."""
        return chunk.plan["unsure"] * reverse_kl(chunk.log_p, chunk.log_q)


class Uncertain(Method):
    """Reverse KL where the student is unsure."""

    title: ClassVar[str] = "Uncertain"
    paper: ClassVar[str] = "-"
    cost: ClassVar[str] = "teacher forward, student generation"
    share: float = Field(0.5, gt=0, le=1, description="of each response's tokens")

    def triple(self) -> Triple:
        """On fresh student samples."""
        return Triple(WhereUnsure(self.share), FromStudent())
