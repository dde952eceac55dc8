"""What happens in an optimiser step: its micro-batches, and its outcome."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kdbench.views.rollout import Example, Rollout

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class StepOutcome:
    """An optimiser step of this process, as schedule and companion learn of it.

    Attributes:
        number: The number of the step, from 1.
        examples: The dataset examples of the step.
        loss: This process's share of the distillation loss; the sum over processes is that of the
            step.
        learning_rate: The student's learning rate in the step.
    """

    number: int
    examples: Sequence[Example]
    loss: "torch.Tensor"
    learning_rate: float


def micro_batches(rollouts: Sequence[Rollout], size: int) -> list[list[Rollout]]:
    """Rows of similar length together, which saves padding; the sum of the losses stays the same.

    Args:
        rollouts: The responses of the step.
        size: Rows per forward pass.
    """
    by_length = sorted(rollouts, key=lambda row: len(row.prompt_ids) + len(row.response_ids))
    return [by_length[start : start + size] for start in range(0, len(by_length), size)]
