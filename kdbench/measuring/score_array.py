"""The scores of a task's samples by one metric, in nine bytes each."""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from kdbench.stats.estimates import Estimate, mean_estimate, with_seeds
from kdbench.store.column import NumberColumn

_NONE, _FLOAT, _INT, _BOOL, _OTHER = range(5)
_EXACT = 2**53  # whole numbers below it are kept exactly by a float


ScoresOfMetric: TypeAlias = "ScoreArray | Mapping[int, Sequence[float | None]]"
"""Scores of a metric, in an array, or by seed and in document order."""


class ScoreArray:
    """Scores of each document and seed, as their metric gave them.

    Args:
        documents: Number of documents.
        seeds: Seeds of the samples.
    """

    def __init__(self, documents: int, seeds: Sequence[int]):
        self.seeds = list(seeds)
        self._values = array("d", bytes(8 * documents * len(self.seeds)))
        self._kinds = bytearray(documents * len(self.seeds))
        self._others: dict[int, Any] = {}

    def set(self, document: int, seed: int, score: float | None) -> None:
        """Keep a score.

        Args:
            document: Index of the document.
            seed: Index of the seed.
            score: The score; None if the metric is not defined.
        """
        if score is None:
            return
        place = document * len(self.seeds) + seed
        kind = _kind(score)
        if kind == _OTHER:
            self._others[place] = score
        self._kinds[place] = kind
        self._values[place] = score

    def get(self, document: int, seed: int) -> float | None:
        """Return a score as it was given."""
        place = document * len(self.seeds) + seed
        kind, value = self._kinds[place], self._values[place]
        if kind == _FLOAT:
            return value
        if kind == _NONE:
            return None
        if kind == _OTHER:
            return self._others[place]  # type: ignore[no-any-return]
        return int(value) if kind == _INT else bool(value)

    def means(self) -> Sequence[float | None]:
        """The mean over seeds of each document; None if no seed has a score."""
        values, known = self._matrices()
        means = np.full(len(values), np.nan)
        whole = known.all(axis=1)
        means[whole] = values[whole].mean(axis=1)
        for row in np.flatnonzero(~whole & known.any(axis=1)):
            means[row] = values[row, known[row]].mean()
        has_score: list[bool] = np.any(known, axis=1).tolist()
        if np.isnan(means[has_score]).any():  # a score that is no number is not a gap
            found = zip(means.tolist(), has_score, strict=True)
            return [value if is_known else None for value, is_known in found]
        return NumberColumn(means)

    def estimate(self, unit: str, means: Sequence[float | None]) -> Estimate:
        """Estimate the mean of the score, as `kdbench.stats.estimates.estimate` does.

        Args:
            unit: Unit of the score.
            means: The mean over seeds of each document.
        """
        values, known = self._matrices()
        per_seed: dict[str, float | None] = {}
        for place, seed in enumerate(self.seeds):
            of_seed = values[known[:, place], place]
            per_seed[str(seed)] = float(of_seed.mean()) if len(of_seed) else None
        return with_seeds(mean_estimate(means, unit), per_seed)

    def _matrices(self) -> tuple[np.ndarray, np.ndarray]:
        """Scores and whether they are known, shape (documents, seeds) each."""
        shape = (-1, len(self.seeds))
        values = np.frombuffer(self._values, dtype=np.float64).reshape(shape)
        return values, np.frombuffer(self._kinds, dtype=np.uint8).reshape(shape) != _NONE


def _kind(score: object) -> int:
    if type(score) is float:
        return _FLOAT
    if type(score) is bool:
        return _BOOL
    if type(score) is int and abs(score) < _EXACT:
        return _INT
    return _OTHER


class SampleScores(Mapping[tuple[str, int], dict[str, float | None]]):
    """The scores of each sample by metric, by document and seed, in document order.

    Args:
        documents: Ids of the documents.
        seeds: Seeds of the samples.
        scores: Scores of each metric, in an array, or by seed and in document order.
    """

    def __init__(
        self, documents: Sequence[str], seeds: Sequence[int], scores: Mapping[str, ScoresOfMetric]
    ):
        self._rows = {document: row for row, document in enumerate(documents)}
        self._places = {seed: place for place, seed in enumerate(seeds)}
        self._scores = scores

    def __getitem__(self, key: tuple[str, int]) -> dict[str, float | None]:
        document, seed = key
        row, place = self._rows[document], self._places[seed]
        found: dict[str, float | None] = {}
        for name, scores in self._scores.items():
            if isinstance(scores, ScoreArray):
                found[name] = scores.get(row, place)
            elif seed in scores:
                found[name] = scores[seed][row]
        return found

    def __iter__(self) -> Iterator[tuple[str, int]]:
        return ((document, seed) for document in self._rows for seed in self._places)

    def __len__(self) -> int:
        return len(self._rows) * len(self._places)
