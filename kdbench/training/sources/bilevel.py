"""Bilevel weights: what a weight in the loss of a token does to the validation loss."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kdbench.training.agreement import correlation, labels_of
from kdbench.training.objective import CrossEntropy, Objective
from kdbench.training.source import (
    Draw,
    FromDataset,
    Source,
    sample_without_repetition,
)
from kdbench.training.sources.wrapper import Wrapper
from kdbench.views.rollout import Rollout, of_dataset, response_tokens

if TYPE_CHECKING:
    import torch

    from kdbench.training.context import Context
    from kdbench.training.gradients import ParameterGroup

RECORDED = "mixing_gradient"
Sum = Callable[["torch.Tensor"], "torch.Tensor"]


class Mixed(Objective):
    """A loss that mixes two others by a share α that a part gives for each token."""

    def share(self, chunk: Any) -> "torch.Tensor":
        """α, (n,), with gradient for the part."""
        raise NotImplementedError

    def gap(self, chunk: Any) -> "torch.Tensor":
        """By how much the loss of a token rises with α, (n,)."""
        raise NotImplementedError


@dataclass
class FromBilevel(Wrapper):
    """Another source, whose tokens know how the validation loss depends on their shares α.

    In every `every`-th step each token has recorded `mixing_gradient`, N times the derivative by
    its α of the validation loss after one virtual step of plain gradient descent on the step's
    responses; in the others 0. N is the number of the step's tokens, so that the mean over tokens
    of the value times α has this derivative.

    Attributes:
        source: Gives the responses.
        mixed: The loss that is trained.
        every: The number of steps between derivatives.
        rate: η, the learning rate of the virtual step.
        parameters: Patterns of the names of the parameters that it moves, with commas between; if
            empty, those of the last layer.
        validation_rows: The number of validation rows, drawn anew each time.
        label: A column for the log alone: 1 where a response is known to be wrong.
    """

    mixed: Mixed
    source: Source = field(default_factory=FromDataset)
    every: int = 10
    rate: float = 0.1
    parameters: str = ""
    validation_rows: int = 32
    label: str = "wrong"

    def begin(self, context: "Context") -> None:
        """Find the group of parameters, and the validation rows."""
        super().begin(context)
        self._group: ParameterGroup = context.gradients.chosen(self.parameters)
        self._valid, self._sum = context.valid, context.sum_over_processes

    def rollouts(self, draw: Draw) -> list[Rollout]:
        """The source's responses with the derivative of each token."""
        rows = [row for row in self.source.rollouts(draw) if row.response_ids]
        values = [0.0] * response_tokens(rows)
        if draw.step % self.every == 0:
            valid = sample_without_repetition(
                self._valid, self.validation_rows, lambda name: draw.uniform(f"validation {name}")
            )
            found = mixing_gradients(
                self._group,
                self.mixed,
                rows,
                CrossEntropy(),
                [of_dataset(example) for example in valid],
                self.rate,
                self._sum,
            )
            values = found.tolist()
            self._note_correlation(rows, draw)
        given = iter(values)
        return [row.with_recorded(**{RECORDED: list(_next(given, row))}) for row in rows]

    def _note_correlation(self, rows: Sequence[Rollout], draw: Draw) -> None:
        """Note how the shares of tokens go with the label of their rows."""
        labels = labels_of(rows, self.label)
        if labels is None:
            return
        shares = self._group.token_values(self.mixed.share, rows).tolist()
        by_token = [at for at, row in zip(labels, rows, strict=True) for _ in row.response_ids]
        if (found := correlation(shares, by_token)) is not None:
            draw.note("mixing/correlation", found)

    def __str__(self) -> str:
        return f"{self.source} with bilevel shares"


def _next(values: Iterator[float], row: Rollout) -> Iterator[float]:
    return (next(values) for _ in row.response_ids)


def mixing_gradients(
    group: "ParameterGroup",
    mixed: Mixed,
    rows: Sequence[Rollout],
    validation: Objective,
    valid: Sequence[Rollout],
    rate: float,
    sum_over_processes: Sum = lambda tensor: tensor,
) -> "torch.Tensor":
    """N dL/dα of each token, (tokens,), where L is the validation loss after a virtual step.

    The step is θ' = θ - η ∇ (1/N) Σ_t l_t(α_t), so dL/dα_t = -η/N ⟨∇L(θ'), ∇ dl_t/dα_t (θ)⟩.

    Args:
        group: The parameters that it moves.
        mixed: l.
        rows: The responses of the step on this process.
        validation: L of each validation response.
        valid: The validation responses.
        rate: η.
        sum_over_processes: Returns the sum of a tensor over all processes.
    """
    import torch

    own = next(iter(group.parameters.values()))
    total = torch.zeros(group.size + 1, device=own.device, dtype=own.dtype)
    for row in rows:
        length = len(row.response_ids)
        total[:-1] += length * group.mean(mixed, [row])
        total[-1] += length
    total = sum_over_processes(total)
    with group.virtual_step(total[:-1] / total[-1].clamp(min=1), rate):
        toward = group.mean(validation, valid)
    return -rate * group.token_products(mixed.gap, rows, toward, mixed.views)
