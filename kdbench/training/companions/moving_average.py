"""A moving average of the student's weights."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kdbench.errors import InputError
from kdbench.training.companion import Companion
from kdbench.training.companions.models import (
    Follower,
    check_every,
    check_path,
    copy_of_student,
    load_model,
    view_of,
)
from kdbench.training.context import Context
from kdbench.training.step import StepOutcome
from kdbench.views.view import View


@dataclass
class MovingAverage(Companion):
    """A model whose weights are an exponential moving average of the student's.

    Attributes:
        name: The name of its view.
        decay: What remains of the average at an update, 0 to 1: average = decay average +
            (1-decay) student.
        every: Student steps per update; the first one is after that many steps.
        checkpoint: Where it starts, with the student's shapes; None is the student before training.
        validated: Whether it is validated along with the student.
    """

    name: str
    decay: float = 0.99
    every: int = 1
    checkpoint: Path | None = None
    validated: bool = False
    _model: Any = field(default=None, init=False, repr=False)
    _follower: Follower | None = field(default=None, init=False, repr=False)

    @property
    def checkpoints(self) -> Mapping[str, Path]:
        """Its checkpoint, if it has one."""
        return {f"{self.name}_model": self.checkpoint} if self.checkpoint else {}

    def check(self) -> None:
        """Check numbers, and that the checkpoint exists.

        Raises:
            InputError: One has no meaning, or it does not.
        """
        if not 0 <= self.decay <= 1:
            raise InputError(f"{self.name}: decay={self.decay:g}: must be from 0 to 1")
        check_every(self.name, self.every)
        check_path(self.checkpoint, f"{self.name}_model")

    def start(self, context: Context) -> View:
        """Make the average and return its view.

        Raises:
            InputError: The student has other shapes than the checkpoint.
        """
        self._model = (
            copy_of_student(context)
            if self.checkpoint is None
            else load_model(self.checkpoint, f"{self.name}_model", context).requires_grad_(False)
        )
        self._follower = Follower(
            self._model,
            context.student,
            f"{self.name} averages the student's weights, and its checkpoint has others: train "
            f"without lora_rank= and {self.name}_model=",
        )
        return view_of(self._model, context)

    def after_step(self, outcome: StepOutcome) -> None:
        """Follow the student, after every K-th step."""
        if outcome.number % self.every == 0:
            self._following.move(1 - self.decay)

    def model(self) -> Any:
        """The average, if it is validated."""
        return self._model if self.validated else None

    def state(self) -> dict[str, Any]:
        """The averaged weights."""
        return {"model": self._following.weights()}

    def restore_state(self, state: dict[str, Any]) -> None:
        """Set the averaged weights."""
        self._following.restore(state["model"])

    @property
    def _following(self) -> Follower:
        assert self._follower is not None  # noqa: S101 - it has started
        return self._follower

    def __str__(self) -> str:
        every = f" every {self.every} steps" if self.every > 1 else ""
        return f"{self.name}(average {self.decay:g}{every})"
