"""Group-relative policy optimisation with a verifier.

Paper: Shao et al. 2024 (arXiv 2402.03300), without its penalty for leaving a reference.
Objective: -min(A ρ, A clip(ρ, 1-`clip`, 1+`clip`)), ρ = q(y)/q_old(y), A the group's advantage,
    averaged over the tokens of a response and then over responses.
Data: `samples` responses of the student to each prompt, each learned in `passes` steps.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

import kdbench
from kdbench.methods import Method
from kdbench.training import Chunk, Example, FromGroups, Objective, Term, Triple
from kdbench.training.weight import clipped_ratio_loss

if TYPE_CHECKING:
    import torch


def short(_: Example, text: str) -> float:
    """1 for a response of at most 12 characters."""
    return float(len(text) <= 12)


@dataclass(frozen=True)
class GroupPolicy(Objective):
    """PPO's clipped loss with the advantages of the group."""

    views = ()
    floor: ClassVar[float | None] = None
    clip: float = 0.2

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """-min(A ρ, A clip(ρ))."""
        ratio = (chunk.of_target(chunk.log_q) - chunk.plan["log_sampled"]).exp()
        return clipped_ratio_loss(ratio, chunk.plan["advantage"], self.clip)


@kdbench.register("groups")
class GRPO(Method):
    """Group-relative policy optimisation."""

    title: ClassVar[str] = "GRPO"
    paper: ClassVar[str] = "Shao et al. 2024, arXiv 2402.03300"
    cost: ClassVar[str] = "generation and a forward pass of `samples` responses a prompt"
    needs_teacher: ClassVar[bool] = False
    plain_sampling: ClassVar[bool] = True
    samples: int = Field(4, ge=2, description="G, responses to each prompt")
    passes: int = Field(1, ge=1, description="steps in which a response is learned")

    def triple(self) -> Triple:
        """The clipped loss on groups of samples."""
        source = FromGroups(short, self.samples, passes=self.passes)
        return Triple([Term(GroupPolicy(), per="sequence")], source)
