"""Means over training seeds, and differences of two conditions, paired by seed.

Every interval is Student's at 95 %, over the seeds. One training seed has no interval. Seeds that
agree to the last digit, as rates over few prompts may, leave Student's t without an error, and two
of them would prove anything: their p-value is that of the sign test.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from kdbench.stats.mean import CONFIDENCE, moments


@dataclass(frozen=True)
class SeedMean:
    """A mean over training seeds.

    Attributes:
        value: The mean.
        low: Lower end of its 95 % interval; None with fewer than two seeds.
        high: Upper end.
        p: Two-sided p-value of the t test that the mean is 0, or of the sign test if all seeds have
            one number; None with fewer than two seeds.
        seeds: The training seeds.
    """

    value: float
    low: float | None
    high: float | None
    p: float | None
    seeds: tuple[int, ...]

    @property
    def direction(self) -> int:
        """1 if the mean is found above 0 at 5 %, -1 if below, 0 if neither or without a test."""
        if self.low is None or self.high is None or self.low <= 0 <= self.high:
            return 0
        if self.p is not None and self.p > 1 - CONFIDENCE:
            return 0
        return 1 if self.low > 0 else -1


def mean_over_seeds(by_seed: Mapping[int, float]) -> SeedMean:
    """The mean of a number over training seeds.

    Args:
        by_seed: The number by training seed; at least one.

    Raises:
        ValueError: There is no seed.
    """
    if not by_seed:
        raise ValueError("no training seed has a number")
    seeds = tuple(sorted(by_seed))
    values = np.array([by_seed[seed] for seed in seeds], dtype=float)
    if len(seeds) < 2:
        return SeedMean(float(values[0]), None, None, None, seeds)
    found = moments(values)
    low, high = found.students(1 - CONFIDENCE)
    p = found.p_value()
    if found.error == 0 and p < 1:
        p = 2.0 ** (1 - len(seeds))
    return SeedMean(found.mean, low, high, p, seeds)


def difference_over_seeds(first: Mapping[int, float], second: Mapping[int, float]) -> SeedMean:
    """The mean difference of two conditions, first minus second, over the seeds that both have.

    Args:
        first: A number by training seed.
        second: The same number under another condition.

    Raises:
        ValueError: They share no seed.
    """
    return mean_over_seeds({seed: first[seed] - second[seed] for seed in first if seed in second})


def ends_of(
    intervals: Iterable[tuple[float | None, float | None]],
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The lower and the upper ends of intervals; none if one of them is not known."""
    every = list(intervals)
    known = [(low, high) for low, high in every if low is not None and high is not None]
    if len(known) < len(every):
        return (), ()
    return tuple(low for low, _ in known), tuple(high for _, high in known)
