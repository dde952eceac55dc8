"""Measures of answers by row and training seed, each from the cells' means over tasks.

With the shares rr, ws (same wrong), wr, rw and wd (different wrong) of a task, and the accuracies
s = rr + wr of the student and t = rr + rw of the teacher:

    agreement      rr + ws
    place          Σ (agreement - low) / Σ (high - low), with low = max(0, s + t - 1) and
                   high = 1 - |s - t|, the least and the most that the accuracies allow
    kappa          Σ (alike - chance) / Σ (1 - chance), with alike = rr + ws + wd and
                   chance = s·t + (1 - s)(1 - t): Cohen's kappa of being right
    same wrong     Σ ws / Σ (ws + wd)

Sums over tasks, so that a task on which a ratio is not defined takes none of the others away.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from kdbench.analyses.core.against import Difference, differences_from
from kdbench.stats.over_seeds import SeedMean, mean_over_seeds
from kdbench.stats.rank_correlation import RankCorrelation, rank_correlation

if TYPE_CHECKING:
    from kdbench.analyses.answered.read import AnsweredTable


@dataclass(frozen=True)
class AnswerMeasures:
    """Measures of a table's answers.

    Attributes:
        table: The answers.
    """

    table: "AnsweredTable"

    @cached_property
    def accuracies(self) -> np.ndarray:
        """The students' accuracies, (rows, seeds, tasks)."""
        found: np.ndarray = self.table.cells[..., 0] + self.table.cells[..., 2]
        return found

    @cached_property
    def agreements(self) -> np.ndarray:
        """Agreement with the teacher, (rows, seeds, tasks)."""
        found: np.ndarray = self.table.cells[..., 0] + self.table.cells[..., 1]
        return found

    @cached_property
    def teacher(self) -> np.ndarray:
        """The teacher's accuracy, (rows, seeds, tasks); it varies if its responses do."""
        found: np.ndarray = self.table.cells[..., 0] + self.table.cells[..., 3]
        return found

    @cached_property
    def place(self) -> np.ndarray:
        """Where agreement lies between the least, 0, and the most, 1, (rows, seeds)."""
        low = (self.accuracies + self.teacher - 1).clip(min=0)
        high = 1 - abs(self.accuracies - self.teacher)
        return _ratio(self.agreements - low, high - low)

    @cached_property
    def kappa(self) -> np.ndarray:
        """Cohen's kappa of being right, (rows, seeds)."""
        student, teacher = self.accuracies, self.teacher
        chance = student * teacher + (1 - student) * (1 - teacher)
        alike = self.table.cells[..., [0, 1, 4]].sum(-1)
        return _ratio(alike - chance, 1 - chance)

    @cached_property
    def same_wrong(self) -> np.ndarray:
        """Share of one answer where both are wrong, (rows, seeds)."""
        same, different = self.table.cells[..., 1], self.table.cells[..., 4]
        return _ratio(same, same + different)

    @cached_property
    def option_kl(self) -> np.ndarray:
        """KL over options in nats, (rows, seeds); NaN if no task has options."""
        kl = self.table.option_kl
        return kl.mean(-1) if kl.shape[-1] else np.full(kl.shape[:2], np.nan)

    def by_seed(self, values: np.ndarray, row: int) -> dict[int, float]:
        """A row's numbers by training seed, means over tasks if it has several."""
        of_row = values[row] if values.ndim == 2 else values[row].mean(-1)
        return dict(zip(self.table.seeds, map(float, of_row), strict=True))

    def mean(self, values: np.ndarray, row: int) -> SeedMean | None:
        """A row's mean over training seeds; None if a seed has no number."""
        by_seed = self.by_seed(values, row)
        return mean_over_seeds(by_seed) if np.isfinite(list(by_seed.values())).all() else None

    def changes(self, values: np.ndarray) -> Mapping[str, Difference]:
        """Each other row minus the undistilled student, paired by seed, Holm over the rows.

        Rows that lack a number of a seed are left out.
        """
        by_label = {label: self.by_seed(values, row) for row, label in enumerate(self.table.labels)}
        known = {
            label: of for label, of in by_label.items() if np.isfinite(list(of.values())).all()
        }
        base = known.pop(self.table.labels[0], None)
        return {} if base is None else differences_from(base, known)

    def correlations(self, values: np.ndarray) -> "GainCorrelations | None":
        """How the gain in accuracy goes with another number over the rows.

        None if there are fewer than three rows beside the undistilled student, or one of the two
        does not vary.
        """
        gain = self._relative(self.accuracies)
        other = self._relative(values)
        if len(gain) < 3 or not np.isfinite(other).all():
            return None
        over = rank_correlation(gain, other)
        return None if over is None else GainCorrelations(over, *_between(gain, other, self.table))

    def _relative(self, values: np.ndarray) -> np.ndarray:
        """Numbers minus those of the undistilled student, (other rows, seeds, 1)."""
        means = values if values.ndim == 2 else values.mean(-1)
        found: np.ndarray = (means[1:] - means[:1])[..., None]
        return found


@dataclass(frozen=True)
class GainCorrelations:
    """Spearman's correlation of the gain with another number, over rows.

    Attributes:
        over_rows: Of the means over training seeds, with a bootstrap over rows and seeds.
        by_seed: Of each seed alone, with an interval over seeds; None if one is not defined.
        between_seeds: Of the gain of a seed with the other number's mean over the other seeds,
            so that no chance of a single training is in both.
    """

    over_rows: RankCorrelation
    by_seed: SeedMean | None
    between_seeds: SeedMean | None


def _between(
    gain: np.ndarray, other: np.ndarray, table: "AnsweredTable"
) -> tuple[SeedMean | None, SeedMean | None]:
    """Means over seeds of the correlations within a seed, and between seeds."""
    within: dict[int, float | None] = {}
    across: dict[int, float | None] = {}
    for place, seed in enumerate(table.seeds):
        rest = np.delete(other, place, axis=1).mean(1, keepdims=True)
        one = gain[:, place : place + 1]
        within[seed] = _value(one, other[:, place : place + 1])
        across[seed] = _value(one, rest)
    return _clipped(within), _clipped(across)


def _value(first: np.ndarray, second: np.ndarray) -> float | None:
    found = rank_correlation(first, second, resamples=0)
    return None if found is None else found.value


def _clipped(by_seed: Mapping[int, float | None]) -> SeedMean | None:
    """A mean of correlations, whose interval does not leave their scale."""
    known = {seed: value for seed, value in by_seed.items() if value is not None}
    if len(known) < len(by_seed):
        return None
    found = mean_over_seeds(known)
    if found.low is None or found.high is None:
        return found
    low, high = max(-1.0, found.low), min(1.0, found.high)
    return SeedMean(found.value, low, high, found.p, found.seeds)


def _ratio(parts: np.ndarray, wholes: np.ndarray) -> np.ndarray:
    """The ratio of two sums over tasks; NaN where the second one is 0."""
    above, below = parts.sum(-1), wholes.sum(-1)
    found: np.ndarray = np.full(below.shape, np.nan)
    np.divide(above, below, out=found, where=below > 1e-12)
    return found
