"""Direct preference optimisation on pairs, against the student as it was before training.

Paper: Rafailov et al. 2023 (arXiv 2305.18290).
Objective: -log sigmoid(β ((log q(y_c) - log q_0(y_c)) - (log q(y_r) - log q_0(y_r)))).
Data: rows with `chosen` and `rejected`.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

import kdbench
from kdbench.methods import Method
from kdbench.training import FromPairs, Frozen, Responses, SequenceObjective, Term, Triple

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class PairLoss(SequenceObjective):
    """The loss of a pair, put on its chosen response."""

    views = ("reference",)
    floor: ClassVar[float | None] = None
    beta: float = 0.1

    def sequence(self, rows: Responses) -> "torch.Tensor":
        """-log sigmoid of β times the margin of the pair; 0 for the rejected response."""
        from torch.nn.functional import logsigmoid

        chosen, rejected = rows.pairs()
        gain = rows.log_q - rows.log_prob("reference")
        loss = -logsigmoid(self.beta * (gain[chosen] - gain[rejected]))
        return gain.new_zeros(len(gain)).index_put((chosen,), loss)

    def __str__(self) -> str:
        return f"pairs(beta={self.beta:g})"


@kdbench.register("pairs")
class DPO(Method):
    """Direct preference optimisation."""

    title: ClassVar[str] = "DPO"
    paper: ClassVar[str] = "Rafailov et al. 2023, arXiv 2305.18290"
    cost: ClassVar[str] = "forward of the student before training, two responses a row"
    needs_teacher: ClassVar[bool] = False
    beta: float = Field(0.1, gt=0, description="β, factor of the margin")

    def triple(self) -> Triple:
        """The loss of pairs, each pair counted once."""
        terms = [Term(PairLoss(self.beta), per="group")]
        return Triple(terms, FromPairs(), companions=[Frozen("reference")])
