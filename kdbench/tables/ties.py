"""Which rows are not significantly different from the best one.

Rows of a group answered the same prompts, so each is paired with the best one by prompt. The test
is the sign-flip test: exact up to 20 prompts, and beyond that its normal limit, since a table may
need thousands of tests. Rows of several training seeds must also differ by more than these do: the
larger p-value counts, that of the test over trainings and prompts (see `kdbench.stats.variances`).
(For differences d with weights w, flipping signs gives sum(w d) mean 0 and
variance sum(w² d²).) Holm's correction covers the pairs of a column.
"""

from collections.abc import Mapping, Sequence
from math import erfc, sqrt

import numpy as np

from kdbench.stats.exact import EXACT, exact_p_values
from kdbench.stats.mean import mean_moments, moments
from kdbench.stats.paired import holm
from kdbench.store.runs import StoredRun
from kdbench.tables.column import Column
from kdbench.tables.recipes import difference_of_recipes

ALPHA = 0.05
_ROWS_AT_ONCE = 1024  # limits the memory of sums


class Ties:
    """The scores by prompt of a group's rows.

    Args:
        runs: Runs of the rows, in order; None for a row that is not measured.
    """

    def __init__(self, runs: Sequence[StoredRun | None]):
        self._runs = runs

    def with_best(self, column: Column, best: int, others: Sequence[int]) -> list[int]:
        """Find the rows that are not significantly different from the best one.

        Args:
            column: Column to compare.
            best: Index of the best row.
            others: Indices of the rows to compare with it; those that cannot be paired are left
                out.
        """
        return [row for row, p in self.p_values(column, best, others).items() if p > ALPHA]

    def p_values(self, column: Column, best: int, others: Sequence[int]) -> dict[int, float]:
        """The adjusted p-values of rows against the best one, without those that are not paired.

        Args:
            column: Column to compare.
            best: Index of the best row.
            others: Indices of the rows to compare with it.
        """
        by_task = {task: self._scores(task, column.metric, best) for task in column.tasks}
        scores = {task: matrix for task, matrix in by_task.items() if matrix is not None}
        if not scores or len(scores) < len(column.tasks):
            return {}
        paired = [row for row in others if self._has_all_tasks(scores, row)]
        if not paired or not self._has_all_tasks(scores, best):
            return {}
        gaps = {task: matrix[paired] - matrix[best] for task, matrix in scores.items()}
        recipes = [self._recipe_p(column, best, row) for row in paired]
        adjusted = holm(list(map(max, _p_values(gaps), recipes)))
        return dict(zip(paired, adjusted, strict=True))

    def difference(
        self, column: Column, best: int, other: int
    ) -> tuple[float, tuple[float, float]] | None:
        """How far the best row's mean is from another's, paired by prompt.

        Args:
            column: Column to compare.
            best: Index of the best row.
            other: Index of the other row.

        Returns:
            The difference and its 95 % interval; None if it is unknown.
        """
        first, second = self._runs[best], self._runs[other]
        if first is None or second is None:
            return None
        if first.trainings and second.trainings:
            found = difference_of_recipes(first, second, column.tasks, column.metric)
            return None if found is None else (found.mean, found.shown_interval())
        tasks = []
        for task in column.tasks:
            scores = self._scores(task, column.metric, best)
            gap = np.empty(0) if scores is None else scores[best] - scores[other]
            known = gap[~np.isnan(gap)]
            if len(known) < 2:
                return None
            tasks.append(moments(known))
        joint = mean_moments(tasks)
        return joint.mean, joint.interval()

    def _recipe_p(self, column: Column, best: int, other: int) -> float:
        """The p-value over training seeds, of two rows that have several; else 0."""
        first, second = self._runs[best], self._runs[other]
        if first is None or second is None or not (first.trainings and second.trainings):
            return 0.0
        found = difference_of_recipes(first, second, column.tasks, column.metric)
        return 0.0 if found is None else found.p_value()

    def _has_all_tasks(self, scores: Mapping[str, np.ndarray], row: int) -> bool:
        return all(not np.isnan(matrix[row]).all() for matrix in scores.values())

    def _scores(self, task: str, metric: str, best: int) -> np.ndarray | None:
        """Scores on the prompts of the best row.

        Returns:
            Scores [rows, prompts], NaN where there is none; None if the best row has no scores.
        """
        results = [None if run is None else run.results.get(task) for run in self._runs]
        best_result = results[best]
        if best_result is None or metric not in best_result.documents:
            return None
        ids = best_result.documents["id"]
        missing = [np.nan] * len(ids)
        rows = [
            result.documents.get(metric, missing)
            if result and result.documents["id"] == ids
            else missing
            for result in results
        ]
        return np.array(rows, dtype=np.float64) if ids else None  # None becomes NaN


def _p_values(gaps: Mapping[str, np.ndarray]) -> list[float]:
    """Two-sided p-values of the rows' mean differences, averaged over tasks.

    Args:
        gaps: Differences from the best row by task [rows, prompts], NaN where not defined.
    """
    weighted, known = _weighted(gaps)
    mean, variance = weighted.sum(axis=1), (weighted**2).sum(axis=1)
    p_values = [
        erfc(abs(m) / sqrt(2 * v)) if v > 0 else 1.0 for m, v in zip(mean, variance, strict=True)
    ]
    few = np.flatnonzero((known.sum(axis=1) <= EXACT) & (variance > 0))
    for start in range(0, len(few), _ROWS_AT_ONCE):
        rows = few[start : start + _ROWS_AT_ONCE]
        for row, p in zip(rows, exact_p_values(_packed(weighted[rows])), strict=True):
            p_values[row] = float(p)
    return p_values


def _weighted(gaps: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Differences whose sum is the average over tasks, and where they are defined.

    Both have the shape [rows, prompts of all tasks]; undefined differences are 0.
    """
    known = {task: ~np.isnan(gap) for task, gap in gaps.items()}
    weighted = [
        np.where(known[task], gap, 0.0) / np.maximum(1, known[task].sum(axis=1, keepdims=True))
        for task, gap in gaps.items()
    ]
    return np.concatenate(weighted, axis=1), np.concatenate(list(known.values()), axis=1)


def _packed(weighted: np.ndarray) -> np.ndarray:
    """The non-zero differences of each row, at the front of `EXACT` columns at most."""
    order = np.argsort(weighted == 0, axis=1, kind="stable")[:, :EXACT]
    packed: np.ndarray = np.take_along_axis(weighted, order, axis=1)
    return packed
