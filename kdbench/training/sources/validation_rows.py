"""Validation rows beside the responses of a step, for what must not learn from training rows."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from kdbench.training.source import Draw, FromDataset, Source
from kdbench.training.sources.wrapper import Wrapper
from kdbench.views.rollout import Example, Rollout, of_dataset

if TYPE_CHECKING:
    from kdbench.training.context import Context

ORIGIN = "validation"


@dataclass
class WithValidation(Wrapper):
    """Another source, with random validation rows added, of the origin `validation`.

    The terms of the student must name the other origins, so that it never learns from them.

    Attributes:
        count: How many rows are added to a step, which processes share out.
        source: The source of the responses.
    """

    count: int
    source: Source = field(default_factory=FromDataset)
    _valid: Sequence[Example] = field(default=(), init=False, repr=False)

    @property
    def origins(self) -> tuple[str, ...] | None:  # type: ignore[override]
        """Those of the wrapped source, and `validation`."""
        known = self.source.origins
        return None if known is None else (*known, ORIGIN)

    def begin(self, context: "Context") -> None:
        """Keep the validation rows."""
        self.source.begin(context)
        self._valid = context.valid

    def rollouts(self, draw: Draw) -> list[Rollout]:
        """The source's responses, and the references of validation rows."""
        numbers = range(draw.process, self.count, draw.processes)
        uniforms = [draw.own_uniform(f"validation row {number}") for number in numbers]
        rows = [self._valid[int(uniform * len(self._valid))] for uniform in uniforms]
        added = [replace(of_dataset(row), origin=ORIGIN) for row in rows]
        return [*self.source.rollouts(draw), *added]

    def __str__(self) -> str:
        return f"{self.source}+{self.count} validation rows"
