"""Packed texts: those of a step share rows of the forward pass, none seeing another."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from kdbench.errors import InputError
from kdbench.training.source import Draw, FromDataset, Source
from kdbench.training.sources.wrapper import Wrapper
from kdbench.views.packing import can_pack
from kdbench.views.rollout import Rollout
from kdbench.views.view import bare_model

if TYPE_CHECKING:
    from kdbench.training.context import Context


@dataclass
class FromPacked(Wrapper):
    """Another source, whose responses are put together into rows of the forward pass.

    Losses and gradients are those of the responses in rows of their own.

    Attributes:
        source: Gives the responses.
        window: The most tokens in a row; a longer response is in one alone. 0 packs nothing.
    """

    source: Source = field(default_factory=FromDataset)
    window: int = 512

    def begin(self, context: "Context") -> None:
        """Check that the models can be given several texts in a row.

        Raises:
            InputError: One cannot.
        """
        super().begin(context)
        models = {"student": context.student, "teacher": context.teacher} if self.window else {}
        for name, model in models.items():
            if model is not None and not can_pack(bare_model(model), context.vocabulary):
                raise InputError(
                    f"window_tokens={self.window}: the {name} gives texts that share a row other "
                    "logits than alone; pass window_tokens=0, which gives each a row of its own"
                )

    def rollouts(self, draw: Draw) -> list[Rollout]:
        """The responses, with the number of their row as their group."""
        rows = [row for row in self.source.rollouts(draw) if row.response_ids]
        if not self.window:
            return rows
        return [
            replace(row, group=f"{draw.process} {number}", packed=True)
            for number, window in enumerate(windows(rows, self.window))
            for row in window
        ]

    def __str__(self) -> str:
        return f"{self.source} packed({self.window})" if self.window else str(self.source)


def windows(rows: Sequence[Rollout], size: int) -> list[list[Rollout]]:
    """Rows by the window that they share: each, the longest first, in the first with room for it.

    Args:
        rows: The responses.
        size: The most tokens in a window.
    """
    found: list[list[Rollout]] = []
    used: list[int] = []
    for row in sorted(rows, key=_length, reverse=True):
        place = next((n for n, total in enumerate(used) if total + _length(row) <= size), None)
        if place is None:
            place = len(found)
            found.append([])
            used.append(0)
        found[place].append(row)
        used[place] += _length(row)
    return found


def _length(row: Rollout) -> int:
    return len(row.prompt_ids) + len(row.response_ids) - 1  # the last token is not an input
