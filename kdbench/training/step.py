"""What happens in an optimiser step: its responses, their micro-batches, and the outcome."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kdbench.views.rollout import Example, Rollout

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class StepWork:
    """The responses of an optimiser step on this process.

    Attributes:
        rollouts: The responses.
        amounts: What each term is averaged over, in the whole step over all processes.
        tokens: The number of response tokens of the whole step over all processes.
        passes: The largest number of micro-batches of any process; others make up for theirs by
            empty ones, as all of them must run the model equally often.
    """

    rollouts: Sequence[Rollout]
    amounts: Sequence[int]
    tokens: int
    passes: int


@dataclass
class Learned:
    """What a step gave on this process.

    Attributes:
        loss: This process's share of the loss; the sum over processes is that of the step.
        distillation: The same without terms on pre-training texts alone.
        terms: The sum of each term by its place.
        diagnostics: The sum of each diagnostic and its number of tokens.
    """

    loss: "torch.Tensor"
    distillation: "torch.Tensor"
    terms: "dict[int, torch.Tensor]"
    diagnostics: "dict[str, tuple[torch.Tensor, int]]"


@dataclass(frozen=True)
class StepOutcome:
    """An optimiser step of this process, as schedule and companions learn of it.

    Attributes:
        number: The number of the step, from 1.
        examples: The dataset examples of the step.
        work: The responses that were learned.
        learned: What they gave.
        learning_rate: The student's learning rate in the step.
        schedule: The schedule's values in the step.
    """

    number: int
    examples: Sequence[Example]
    work: StepWork
    learned: Learned
    learning_rate: float
    schedule: Mapping[str, float] = field(default_factory=dict)


def micro_batches(rollouts: Sequence[Rollout], size: int) -> list[list[Rollout]]:
    """Rows of similar length together, which saves padding; the sum of the losses stays the same.

    Args:
        rollouts: The responses of the step.
        size: Rows per forward pass. A group is never split; one that is larger is alone.
    """
    by_length = sorted(groups_of(rollouts), key=lambda group: max(map(_tokens, group)))
    batches: list[list[Rollout]] = []
    for group in by_length:
        if batches and len(batches[-1]) + len(group) <= size:
            batches[-1] += group
        else:
            batches.append(list(group))
    return batches


def groups_of(rollouts: Sequence[Rollout]) -> list[list[Rollout]]:
    """The rollouts by group, in the order of each one's first; a row without one is alone."""
    groups: dict[object, list[Rollout]] = {}
    for number, rollout in enumerate(rollouts):
        groups.setdefault(number if rollout.group is None else rollout.group, []).append(rollout)
    return list(groups.values())


def _tokens(rollout: Rollout) -> int:
    return len(rollout.prompt_ids) + len(rollout.response_ids)
