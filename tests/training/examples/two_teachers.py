"""Two teachers, mixed token by token by a gate that learns which of them predicts the data."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import torch
from pydantic import Field

from kdbench.divergence import forward_kl
from kdbench.methods import Method, methods
from kdbench.training import Chunk, Frozen, Objective, Part, Sizes, Triple


class TowardMixture(Objective):
    """KL(p̃‖q) with p̃ = w p + (1-w) p', and -log p̃(y) for the gate's w alone."""

    views = ("teacher", "second")
    hidden: ClassVar[Mapping[str, tuple[int, ...]]] = {"student": (-1,)}
    floor: ClassVar[float | None] = None

    def token(self, chunk: Chunk) -> torch.Tensor:
        """The student's loss and the gate's."""
        both = torch.stack([chunk.log_p, chunk.log_prob("second")], -1)
        mixture = (both + self.gate(chunk)[:, None]).logsumexp(-1)
        return forward_kl(mixture.detach(), chunk.log_q) - chunk.of_target(mixture)

    def gate(self, chunk: Chunk) -> torch.Tensor:
        """Log-weights of the two teachers, (n, 2)."""
        scores: torch.Tensor = chunk.parts["gate"](chunk.hidden("student", -1).detach())
        return scores.log_softmax(-1)

    def diagnostics(self, chunk: Chunk) -> Mapping[str, torch.Tensor]:
        """The first teacher's weight."""
        return {"gate/teacher": self.gate(chunk)[:, 0].exp()}

    def __str__(self) -> str:
        return "forward_kl(gated)"


def gate(sizes: Sizes) -> torch.nn.Module:
    """A linear gate that begins with equal weights."""
    layer = torch.nn.Linear(sizes.widths["student"], 2)
    for parameter in layer.parameters():
        torch.nn.init.zeros_(parameter)
    return layer


@methods.register("two_teachers")
class TwoTeachers(Method):
    """Forward KL to a gated mixture of two teachers."""

    title: ClassVar[str] = "Two teachers"
    paper: ClassVar[str] = "an example"
    cost: ClassVar[str] = "two teachers forward"
    second_model: Path = Field(description="checkpoint of the second teacher")

    def triple(self) -> Triple:
        """The mixture on the dataset, with the gate."""
        second = Frozen("second", self.second_model)
        return Triple(TowardMixture(), companions=[second], parts={"gate": Part(gate, rate=10)})
