"""Which rows a paired test does not tell from the best one.

Rows of a group answered the same prompts, so each is paired with the best by prompt. The test is
the sign-flip one of `kdbench compare`: exact up to 20 prompts; beyond, its normal limit, for a
table may have thousands of pairs. (With differences d and weights w, flips make of sum(w d) a
number with mean 0 and variance sum(w² d²).) Holm's correction is over the pairs of a column.
"""

from collections.abc import Mapping, Sequence
from math import erfc, sqrt

import numpy as np

from kdbench.stats.paired import EXACT, average_flips, holm, sign_flips
from kdbench.store.runs import StoredRun
from kdbench.tables.column import Column

ALPHA = 0.05


class Ties:
    """The scores of a group's rows.

    Args:
        runs: of the rows, in order; None where a row is not measured.
    """

    def __init__(self, runs: Sequence[StoredRun | None]):
        self._runs = runs

    def with_best(self, column: Column, best: int, others: Sequence[int]) -> list[int]:
        """The others that are not significantly different from the best.

        Args:
            column: what is compared.
            best: row.
            others: rows; those that cannot be paired are left out.
        """
        parts = {task: self._scores(task, column.metric, best) for task in column.tasks}
        scores = {task: one for task, one in parts.items() if one is not None}
        if not scores or len(scores) < len(column.tasks):
            return []
        paired = [row for row in others if self._whole(scores, row)]
        if not paired or not self._whole(scores, best):
            return []
        gaps = {task: one[paired] - one[best] for task, one in scores.items()}
        adjusted = holm(_p_values(gaps))
        return [row for row, p in zip(paired, adjusted, strict=True) if p > ALPHA]

    def _whole(self, scores: Mapping[str, np.ndarray], row: int) -> bool:
        return all(not np.isnan(one[row]).all() for one in scores.values())

    def _scores(self, task: str, metric: str, best: int) -> np.ndarray | None:
        """Scores by row and prompt of the best, NaN where there are none; None without prompts."""
        results = [None if run is None else run.results.get(task) for run in self._runs]
        own = results[best]
        if own is None or metric not in own.documents:
            return None
        ids = own.documents["id"]
        nothing = [np.nan] * len(ids)
        columns = [
            one.documents.get(metric, nothing) if one and one.documents["id"] == ids else nothing
            for one in results
        ]
        return np.array(columns, dtype=np.float64) if ids else None  # of None it makes NaN


def _p_values(gaps: Mapping[str, np.ndarray]) -> list[float]:
    """Two-sided, of each row's mean over tasks.

    Args:
        gaps: by task: differences from the best by row and prompt, NaN where not defined.
    """
    rows = len(next(iter(gaps.values())))
    mean, variance, prompts = np.zeros(rows), np.zeros(rows), np.zeros(rows)
    for gap in gaps.values():
        n = np.maximum(1, (~np.isnan(gap)).sum(axis=1))
        mean += np.nansum(gap, axis=1) / n
        variance += np.nansum(gap**2, axis=1) / n**2
        prompts += n
    return [
        _exact({task: gap[row] for task, gap in gaps.items()})
        if prompts[row] <= EXACT
        else erfc(abs(mean[row]) / sqrt(2 * variance[row]))
        if variance[row] > 0
        else 1.0
        for row in range(rows)
    ]


def _exact(gaps: Mapping[str, np.ndarray]) -> float:
    known = {task: gap[~np.isnan(gap)] for task, gap in gaps.items()}
    if not all(len(gap) for gap in known.values()):
        return 1.0
    flips = {task: sign_flips(gap) for task, gap in known.items()}
    return average_flips(known, flips).p()
