"""A selection: the responses of another source that a view finds the hardest, or the surest."""

import math
from dataclasses import dataclass, field
from typing import Literal

from kdbench.errors import InputError
from kdbench.training.source import Draw, FromDataset, Source
from kdbench.training.sources.wrapper import Wrapper
from kdbench.training.step import groups_of
from kdbench.views.rollout import Rollout


@dataclass
class FromSelection(Wrapper):
    """The best share of another source's responses, by a view's mean scalar of their tokens.

    Each process selects among its own responses. Those of a group are kept or left out together.

    Attributes:
        source: Gives the pool: the responses of a step.
        share: The share that is kept, above 0 and up to 1; one response or group at least.
        by: `entropy` of the view's distribution at each token, or `log_prob` of the token.
        largest: Whether the largest means are kept, and not the smallest.
        view: Who scores.
    """

    source: Source = field(default_factory=FromDataset)
    share: float = 0.5
    by: Literal["entropy", "log_prob"] = "entropy"
    largest: bool = True
    view: str = "student"

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise InputError("FromSelection: share= must be above 0 and at most 1")

    @property
    def views(self) -> tuple[str, ...]:  # type: ignore[override]
        """Who scores, and the views of the pool."""
        return (*self.source.views, self.view)

    def rollouts(self, draw: Draw) -> list[Rollout]:
        """The selected responses, in the order of the pool."""
        pool = [row for row in self.source.rollouts(draw) if row.response_ids]
        groups = groups_of(pool)
        rows = [row for group in groups for row in group]
        score = draw.entropies if self.by == "entropy" else draw.target_log_probs
        values = iter(score(rows, self.view))
        means = []
        for group in groups:
            tokens = [value for _ in group for value in next(values)]
            means.append(math.fsum(tokens) / len(tokens))
        count = math.ceil(self.share * len(groups))
        order = sorted(range(len(groups)), key=lambda place: means[place], reverse=self.largest)
        kept = sorted(order[:count])
        if kept:
            draw.note(f"selection/{self.by}", sum(means[place] for place in kept) / len(kept))
        return [row for place in kept for row in groups[place]]

    def __str__(self) -> str:
        which = "largest" if self.largest else "smallest"
        return f"{which} {self.share:g} by {self.by} of {self.source}"
