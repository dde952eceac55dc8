"""Terms that are sums over tokens, and those of them that share the logits of their chunks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kdbench.training.objective import BEGINS, Objective

if TYPE_CHECKING:
    import torch

Layer = tuple[str, int]


@dataclass(frozen=True)
class TokenTerm:
    """A term of a chunked pass.

    Attributes:
        key: What its sum is kept under.
        objective: Its objective.
        plan: Named values of each of the N tokens, (N,) each.
        share: Each token's factor in the term's sum, (N,); None if it is 1.
        factor: The factor of the sum in the loss.
    """

    key: int
    objective: Objective
    plan: "Mapping[str, torch.Tensor]"
    share: "torch.Tensor | None"
    factor: float


@dataclass(frozen=True)
class Together:
    """Terms on the same positions, which share the logits of their chunks.

    Attributes:
        positions: The positions among the N, int64.
        terms: The terms.
    """

    positions: "torch.Tensor"
    terms: Sequence[TokenTerm]

    @property
    def views(self) -> list[str]:
        """The views whose distributions are needed."""
        return sorted({name for term in self.terms for name in term.objective.views})

    @property
    def heads(self) -> list[str]:
        """The views whose heads are asked for logits of other states."""
        return sorted({name for term in self.terms for name in term.objective.heads})

    @property
    def layers(self) -> list[Layer]:
        """The views and layers whose states are needed."""
        wanted = [term.objective.hidden for term in self.terms]
        return sorted({(view, n) for hidden in wanted for view in hidden for n in hidden[view]})

    @property
    def begins(self) -> "torch.Tensor | None":
        """Where a chunk may begin for all terms, bool (N,); None for everywhere."""
        given = [term.plan[BEGINS] for term in self.terms if BEGINS in term.plan]
        if not given:
            return None
        allowed = given[0].bool()
        for other in given[1:]:
            allowed = allowed & other.bool()
        return allowed

    @property
    def needs_logits(self) -> bool:
        """Whether the student's logits are needed."""
        return any(term.objective.needs_logits for term in self.terms)
