"""The clients beside the student, and what all of them are told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from kdbench.errors import InputError
from kdbench.training.chunk import TopK
from kdbench.training.companion import Companion
from kdbench.training.companions.peer import Peer
from kdbench.training.context import Context
from kdbench.training.step import StepOutcome
from kdbench.views.rollout import Batch, Rollout

if TYPE_CHECKING:
    import torch


class ToldView:
    """The targets of public texts as a view of likeliest tokens.

    Args:
        name: The name of the view.
        labels: The targets by the id of the row.
    """

    def __init__(self, name: str, labels: Mapping[str, TopK]):
        self._name, self._labels = name, labels

    def top_k(self, batch: Batch) -> TopK:
        """The likeliest tokens at each of the N positions; of other texts, none that count."""
        import torch

        rows = [self._of(rollout) for rollout in batch.rollouts]
        columns = ([row.ids, row.log_p, row.log_rest] for row in rows)
        ids, log_p, rest = (torch.cat(some).to(batch.device) for some in zip(*columns, strict=True))
        return TopK(ids, log_p, rest)

    def _of(self, rollout: Rollout) -> TopK:
        import torch

        if rollout.origin == "public":
            return self._labels[rollout.id]
        size = len(next(iter(self._labels.values())).ids[0]) if self._labels else 1
        ids = torch.arange(size).expand(len(rollout.response_ids), -1)
        return TopK(ids, torch.zeros(ids.shape) - 1, torch.zeros(len(ids)) - 1)

    def states(self, batch: Batch) -> "torch.Tensor":
        """Refuse: there is no model.

        Raises:
            InputError: Always.
        """
        self._refuse(batch)

    def logits(self, states: "torch.Tensor") -> "torch.Tensor":
        """Refuse: there is no model.

        Raises:
            InputError: Always.
        """
        self._refuse(states)

    def _refuse(self, _: object) -> NoReturn:
        raise InputError(f"the view '{self._name}' has the likeliest tokens of public texts alone")


@dataclass
class SoftLabels(Companion):
    """What a client is told about the public texts of a round.

    Attributes:
        name: The name of its view.
        labels: The targets by the id of the row; rows that are left out have none.
    """

    name: str
    labels: dict[str, TopK] = field(default_factory=dict, init=False, repr=False)

    def start(self, context: Context) -> ToldView:  # noqa: ARG002
        """The targets as a view."""
        return ToldView(self.name, self.labels)

    def tell(self, labels: Mapping[str, TopK]) -> None:
        """Replace the targets by those of a new round."""
        self.labels.clear()
        self.labels.update(labels)

    def state(self) -> dict[str, Any]:
        """The targets."""
        return {"labels": {name: vars(top) for name, top in self.labels.items()}}

    def restore_state(self, state: dict[str, Any]) -> None:
        """Continue from a state."""
        self.tell({name: TopK(**columns) for name, columns in state["labels"].items()})

    def __str__(self) -> str:
        return self.name


@dataclass
class Client(Peer):
    """A client beside the student, which learns what the source drew for it.

    Attributes:
        number: Its number; the student is 0.
        drawn: The rollouts of the step by client, which the source fills.
    """

    number: int = 1
    drawn: Mapping[int, Sequence[Rollout]] = field(default_factory=dict, repr=False)

    def learned(self, outcome: StepOutcome) -> Sequence[Rollout]:  # noqa: ARG002
        """Its own responses of the step."""
        return self.drawn[self.number]

    def __str__(self) -> str:
        return self.name
