"""What a step will ask the student for, found out before its turn."""

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from kdbench.errors import InputError
from kdbench.generate import Row
from kdbench.training.draw import StepDraw
from kdbench.training.micro_batch import STUDENT
from kdbench.training.source import Source
from kdbench.views.rollout import Example, Rollout


class _AskedError(Exception):
    """Ends a source that has asked for responses.

    Args:
        rows: What it asked for.
    """

    def __init__(self, rows: Sequence[Row]):
        super().__init__("a source asked for responses")
        self.rows = rows


class PlanningDraw(StepDraw):
    """A draw that learns what is asked of the student, and answers nothing."""

    def _sampled(
        self, examples: Sequence[Example], view: str, teacher_weight: float = 0.0
    ) -> list[Rollout]:
        if view != STUDENT or teacher_weight:
            raise InputError(f"rollout_lag=: the source asked '{view}' before the student")
        raise _AskedError(self._asked(examples, view)[1])


def rows_of(source: Source, draw: PlanningDraw) -> list[Row]:
    """The rows that a source asks the student for in a step; none if it asks for none.

    Args:
        source: A source that plans ahead.
        draw: The step.
    """
    try:
        source.rollouts(draw)
    except _AskedError as asked:
        return list(asked.rows)
    return []


class Upcoming:
    """The batches of the next steps, as far as they are known.

    Args:
        ahead: How many batches after the next one are looked at.
    """

    def __init__(self, ahead: int):
        self._ahead, self._held = ahead, deque[Any]()

    def take(self, batches: Iterator[Any], count: int) -> list[Any]:
        """The next batches of an epoch; each epoch has an iterator of its own.

        Args:
            batches: The batches of the epoch that were not looked at.
            count: How many to take.
        """
        self._held.extend(islice(batches, max(0, count + self._ahead - len(self._held))))
        return [self._held.popleft() for _ in range(min(count, len(self._held)))]

    @property
    def later(self) -> list[Any]:
        """The batches after those that were taken."""
        return list(self._held)
