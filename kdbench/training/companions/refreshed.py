"""A copy or average of the student that stops following it once the student gets worse."""

from dataclasses import dataclass, field
from typing import Any

from kdbench.training.companions.moving_average import MovingAverage
from kdbench.training.context import Context
from kdbench.training.step import StepOutcome
from kdbench.views.view import View


@dataclass
class Refreshed(MovingAverage):
    """A moving average, or with decay 0 a copy, until the student's validation loss rises.

    A teacher that is the student with something more adds that once more at each refreshing: a
    context that shifts a logit by 1 does so without end, and the student sharpens without bound.
    The log has `refreshing`, the share of the steps in which it still follows.

    Attributes:
        name: The name of its view.
        decay: What remains of it at a refreshing; 0 is a copy.
        every: Student steps between refreshings.
        rise: Nats per token by which the student's validation loss may be above its lowest; beyond
            that the refreshing ends for good. None never ends it.
        lowest: The lowest validation loss so far; None before the first one.
        ended: Whether it follows no more.
    """

    rise: float | None = 0.0
    lowest: float | None = field(default=None, init=False)
    ended: bool = field(default=False, init=False)
    _context: Context | None = field(default=None, init=False, repr=False)

    def start(self, context: Context) -> View:
        """Make the model and return its view."""
        self._context = context
        return super().start(context)

    def after_step(self, outcome: StepOutcome) -> None:
        """Follow the student, unless that has ended."""
        assert self._context is not None  # noqa: S101 - it has started
        self._context.note("refreshing", float(not self.ended))
        if not self.ended:
            super().after_step(outcome)

    def after_validation(self, student_loss: float, own_loss: float | None) -> None:  # noqa: ARG002
        """End the refreshing if the student's loss has risen."""
        if self.lowest is not None and self.rise is not None:
            self.ended = self.ended or student_loss > self.lowest + self.rise
        self.lowest = student_loss if self.lowest is None else min(self.lowest, student_loss)

    def state(self) -> dict[str, Any]:
        """The weights, and whether they still follow."""
        return {**super().state(), "lowest": self.lowest, "ended": self.ended}

    def restore_state(self, state: dict[str, Any]) -> None:
        """Continue from a state."""
        super().restore_state(state)
        self.lowest, self.ended = state["lowest"], state["ended"]

    def __str__(self) -> str:
        kind = f"average {self.decay:g}" if self.decay else "copy"
        until = "" if self.rise is None else " until the validation loss rises"
        return f"{self.name}({kind} every {self.every} steps{until})"
