"""Losses of whole responses, as sums over their tokens that have the same gradient.

The log-probabilities of all tokens are computed first, in chunks and without gradient. The loss is
differentiated with respect to these alone; with the slopes, it is the sum of slope times log q(y_t)
up to a constant, which goes through the chunks like any other loss of tokens.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from kdbench.training.chunk import Chunk, Responses
from kdbench.training.heads import gradients_of
from kdbench.training.micro_batch import MicroBatch, of_origins
from kdbench.training.objective import Objective, SequenceObjective, Term
from kdbench.training.returned import checked, refuse_without_gradient

if TYPE_CHECKING:
    import torch

_SLOPE = "slope of log q"


class LinearInLogProbs(Objective):
    """The sum of slope times log q(y_t)."""

    views = ()
    floor: ClassVar[float | None] = None

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """Slope times log q(y_t)."""
        return chunk.plan[_SLOPE] * chunk.of_target(chunk.log_q)


_LINEAR = LinearInLogProbs()


@dataclass(frozen=True)
class Linearised:
    """A loss of whole responses, ready for the chunks.

    Attributes:
        total: Its sum over the rows, detached.
        of_parts: A zero with its gradient to the method's own modules.
        objective: The loss of tokens that has its gradient to the student.
        plan: The slopes, (N,).
    """

    total: "torch.Tensor"
    of_parts: "torch.Tensor"
    objective: Objective
    plan: "dict[str, torch.Tensor]"


def linearised(micro: MicroBatch, term: Term) -> Linearised:
    """Compute the loss of a term on whole responses and its slopes.

    Args:
        micro: The micro-batch.
        term: A term whose objective is one of whole responses.
    """
    import torch

    objective, positions = term.objective, micro.positions(term.on)
    assert isinstance(objective, SequenceObjective)  # noqa: S101 - for the type checker
    log_q = micro.scalars_at("log_prob", micro.learner, positions).requires_grad_()
    batch = of_origins(micro.batch, term.on)

    def scalar(kind: str, view: str) -> "torch.Tensor":
        return micro.scalars_at(kind, view, positions)

    parameters = [p for module in micro.parts.values() for p in module.parameters()]
    trained: list[torch.Tensor] = [p for p in parameters if p.requires_grad]
    with torch.enable_grad():
        rows = Responses(batch, log_q, scalar, micro.schedule, micro.parts)
        weights = log_q.new_tensor([row.weight for row in batch.rollouts])
        function = f"{type(objective).__name__}.sequence"
        losses = checked(objective.sequence(rows), (len(batch.rollouts),), function)
        total = (losses * weights).sum()
        refuse_without_gradient(total, function)
        slopes, *others = gradients_of([total], [1.0], [log_q, *trained])
        of_parts = log_q.new_zeros(())
        for parameter, gradient in zip(trained, others, strict=True):
            if gradient is not None:
                product = (gradient * parameter).sum()
                of_parts = of_parts + product - product.detach()
    plan = torch.zeros(len(micro.batch.targets), dtype=log_q.dtype, device=log_q.device)
    if slopes is not None:
        plan[positions] = slopes
    return Linearised(total.detach(), of_parts, _LINEAR, {_SLOPE: plan})
