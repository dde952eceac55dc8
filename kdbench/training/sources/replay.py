"""DistiLLM's data source: a buffer of the student's responses."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kdbench.training.source import Draw, Source, sample_without_repetition
from kdbench.views.rollout import Rollout, of_dataset


@dataclass
class FromReplay(Source):
    """DistiLLM's adaptive off-policy source.

    Each step draws a uniform random number u. If u is below `refresh`, or below `threshold` while
    the buffer is not full, the student samples new responses, which also go into the buffer.
    Otherwise, if u is below `threshold`, the responses come from the buffer, and else from the
    dataset. Both numbers are the schedule's.

    Attributes:
        capacity: Number of rollouts kept on each process, first in, first out.
        buffer: The rollouts kept.
    """

    origins = ("dataset", "student")
    capacity: int = 1000
    buffer: list[Rollout] = field(default_factory=list, init=False)

    def rollouts(self, draw: Draw) -> list[Rollout]:
        """One response per example."""
        u, threshold = draw.uniform("student or dataset"), draw.schedule["threshold"]
        if u >= threshold:
            return [of_dataset(example) for example in draw.examples]
        # A buffer smaller than a batch would repeat rows in it.
        short = len(self.buffer) < max(self.capacity, len(draw.examples))
        if u < draw.schedule["refresh"] or short:
            fresh = draw.student_responses(draw.examples)
            self.buffer = [*self.buffer, *fresh][-self.capacity :]
            return fresh
        return sample_without_repetition(self.buffer, len(draw.examples), draw.own_uniform)

    def state(self) -> dict[str, Any]:
        """The rollouts in the buffer."""
        return {"buffer": [rollout.as_json() for rollout in self.buffer]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Fill the buffer from a state."""
        self.buffer = [Rollout.from_json(rollout) for rollout in state["buffer"]]

    def __str__(self) -> str:
        return f"replay(student, {self.capacity})+dataset"
