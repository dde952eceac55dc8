"""The scores of one position set, from which its metrics are computed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from kdbench.fidelity.buckets import bucket_starts
from kdbench.metrics import PooledTokenMetric, PositionSet, TokenMetric


@dataclass(frozen=True)
class SetScores:
    """The scores of the texts of one position set.

    Attributes:
        position_set: The position set.
        documents: Ids of the task's documents, in order.
        seeds: Seeds of the texts.
        limit: Number of tokens of the longest possible response.
        lines: Stored lines by document and seed; a text that was left out is absent.
        left_out: Number of texts that not both models can score.
    """

    position_set: PositionSet
    documents: Sequence[str]
    seeds: Sequence[int]
    limit: int
    lines: Mapping[tuple[str, int], Mapping[str, Any]]
    left_out: int = 0

    def means(self, metric: TokenMetric) -> dict[int, list[float | None]]:
        """Mean over each response by seed, in document order; infinite if a position is."""
        return {
            seed: [_mean(self.lines.get((document, seed)), metric) for document in self.documents]
            for seed in self.seeds
        }

    def micro(self, metric: TokenMetric) -> float | None:
        """Mean over all positions."""
        pairs = [_sum(line, metric) for line in self.lines.values()]
        count = sum(count for _, count in pairs)
        return sum(total for total, _ in pairs) / count if count else None

    def sums(self, metric: PooledTokenMetric) -> dict[int, np.ndarray]:
        """What each document adds to the sums, by seed, shape (documents, K)."""
        width = max(len(line["pooled"][metric.name]) for line in self.lines.values())
        return {
            seed: np.array(
                [
                    line["pooled"][metric.name] if line else [0.0] * width
                    for document in self.documents
                    for line in [self.lines.get((document, seed))]
                ],
                dtype=float,  # turns None, which is stored for what is not finite, into NaN
            )
            for seed in self.seeds
        }

    def curve(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Sums and counts by bucket of token indices over all seeds, (documents, buckets) each."""
        starts = bucket_starts(self.limit)
        sums = np.zeros((len(self.documents), len(starts)))
        counts = np.zeros_like(sums)
        for row, document in enumerate(self.documents):
            for seed in self.seeds:
                if line := self.lines.get((document, seed)):
                    totals, counted = line["curves"][name]
                    sums[row] += [math.inf if value is None else value for value in totals]
                    counts[row] += counted
        return sums, counts

    def reaching(self, starts: Sequence[int]) -> list[int]:
        """Number of texts that reach each token index."""
        lengths = np.array([line["n"] for line in self.lines.values()])
        return [int((lengths > start).sum()) for start in starts]

    def mass(self, kind: Literal["cut_mass", "outside"]) -> dict[str, float]:
        """Mean probability that the metrics do not see, of student and teacher.

        Args:
            kind: `cut_mass` for tokens that are not shared, `outside` for tokens outside the
                teacher's top k.
        """
        pairs = [line[kind] for line in self.lines.values()]
        student, teacher = np.mean(pairs, axis=0) if pairs else (0.0, 0.0)
        return {"student": float(student), "teacher": float(teacher)}


def _mean(line: Mapping[str, Any] | None, metric: TokenMetric) -> float | None:
    if line is None:
        return None
    total, count = _sum(line, metric)
    return total / count if count else None


def _sum(line: Mapping[str, Any], metric: TokenMetric) -> tuple[float, int]:
    total, count = line["tokens"][metric.name]
    return (math.inf if total is None else total), count
