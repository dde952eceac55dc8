"""The loss of a pair: the better response should gain on a view, compared with the worse one."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from kdbench.training.chunk import Responses
from kdbench.training.objective import SequenceObjective

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Preference(SequenceObjective):
    """-log σ(β margin) of each pair, put on its chosen response (Rafailov et al. 2023).

    The margin is the sum of log q - log p of the chosen response minus that of the rejected one.

    Attributes:
        beta: β, the factor of the margin.
        view: The view that has p.
    """

    floor: ClassVar[float | None] = None  # log 2, but with a gradient
    beta: float = 0.1
    view: str = "reference"

    @property
    def views(self) -> tuple[str, ...]:  # type: ignore[override]
        """The view that has p."""
        return (self.view,)

    def sequence(self, rows: Responses) -> "torch.Tensor":
        """The loss of each pair at its chosen response, 0 at its rejected one."""
        from torch.nn.functional import logsigmoid

        chosen, rejected = rows.pairs()
        gain = rows.log_q - rows.log_prob(self.view)
        loss = -logsigmoid(self.beta * (gain[chosen] - gain[rejected]))
        return gain.new_zeros(len(gain)).index_put((chosen,), loss)

    def __str__(self) -> str:
        view = "" if self.view == "reference" else f", view={self.view}"
        return f"preference(beta={self.beta:g}{view})"
