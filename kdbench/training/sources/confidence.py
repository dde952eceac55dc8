"""Confidence: the share of a pool whose responses student and teacher find the likeliest."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from kdbench.errors import InputError
from kdbench.training.agreement import labels_of
from kdbench.training.source import Draw
from kdbench.training.sources.blocks import Choice, FromBlocks
from kdbench.views.rollout import Rollout

_MEASURED = 32  # responses left out whose divergence is logged


@dataclass
class FromConfident(FromBlocks):
    """The share of another source's responses with the highest confidence of student and teacher.

    The confidence in a response is half the sum of both models' mean log-probabilities of its
    tokens. Each process selects among its own responses.

    Attributes:
        label: A column for the log alone: 1 where a prompt is known to be of use.
    """

    label: str = "in_world"

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise InputError("FromConfident: share= must be above 0 and at most 1")

    @property
    def views(self) -> tuple[str, ...]:  # type: ignore[override]
        """Who scores, and the views of the pool."""
        return (*self.source.views, "teacher", "student")

    def choose(self, draw: Draw, rows: Sequence[Rollout]) -> list[Choice]:
        """The surest responses of the block, in its order."""
        confidences = confidence(
            draw.target_log_probs(rows, "teacher"), draw.target_log_probs(rows, "student")
        )
        kept = surest(confidences, self.share)
        left_out = sorted(set(range(len(rows))) - set(kept))[:_MEASURED]
        for name, some in (("kept", kept[:_MEASURED]), ("left_out", left_out)):
            values = draw.divergences([rows[place] for place in some], "teacher") if some else []
            means = [math.fsum(row) / len(row) for row in values]
            if means:
                self.facts[f"confidence/kl_{name}"] = math.fsum(means) / len(means)
        labels = labels_of([rows[place] for place in kept], self.label)
        if labels is not None:
            self.facts[f"confidence/{self.label}"] = sum(labels) / len(labels)
        return [(place, 1.0) for place in kept]

    def __str__(self) -> str:
        return f"surest {self.share:g} of {self.source}"


def confidence(*models: Sequence[Sequence[float]]) -> list[float]:
    """The mean over models of the mean log-probability of a response's tokens, by response."""
    means = [[math.fsum(row) / len(row) for row in rows] for rows in models]
    return [math.fsum(of_row) / len(of_row) for of_row in zip(*means, strict=True)]


def surest(confidences: Sequence[float], share: float) -> list[int]:
    """The places of the share with the highest confidence, in order; one at least if any."""
    count = math.ceil(share * len(confidences))
    order = sorted(range(len(confidences)), key=lambda place: -confidences[place])
    return sorted(order[:count])
