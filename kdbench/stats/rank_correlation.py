"""Rank correlation of two numbers over conditions, with a bootstrap that resamples them whole."""

from dataclasses import dataclass

import numpy as np

from kdbench.stats.mean import CONFIDENCE

_RESAMPLES = 2000


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's correlation.

    Attributes:
        value: The correlation, -1 to 1.
        low: Lower end of its 95 % interval; None if it has none.
        high: Upper end.
        n: Number of points.
    """

    value: float
    low: float | None
    high: float | None
    n: int

    @property
    def direction(self) -> int:
        """1 if the interval is above 0, -1 if it is below, 0 if it includes 0 or is unknown."""
        if self.low is None or self.high is None or self.low <= 0 <= self.high:
            return 0
        return 1 if self.low > 0 else -1


def rank_correlation(
    first: np.ndarray, second: np.ndarray, within: bool = False, resamples: int = _RESAMPLES
) -> RankCorrelation | None:
    """The rank correlation of two numbers, each averaged over repetitions.

    The bootstrap resamples the conditions, each with all its points, and the repetitions, the same
    of all conditions, as they share what is random in them. Points of one condition, such as its
    tasks, are not independent; resampled alone, they would make the interval too short.

    Args:
        first: A number, (conditions, repetitions, points).
        second: Another one, of the same shape.
        within: Whether each point's own mean over conditions is taken off first, so that tasks do
            not correlate by their levels.
        resamples: Number of resamples.

    Returns:
        The correlation; None if one of the two does not vary. Its interval is None with fewer than
        three conditions or two repetitions.
    """
    value = _correlation(first.mean(1), second.mean(1), within)
    if value is None:
        return None
    conditions, repetitions, points = first.shape
    n = conditions * points
    if conditions < 3 or repetitions < 2:
        return RankCorrelation(value, None, None, n)
    rng, drawn = np.random.default_rng(0), []
    for _ in range(resamples):
        rows = rng.integers(0, conditions, conditions)
        seeds = rng.integers(0, repetitions, repetitions)
        one, other = (of[rows][:, seeds].mean(1) for of in (first, second))
        drawn.append(_correlation(one, other, within))
    known = [found for found in drawn if found is not None]
    alpha = 1 - CONFIDENCE
    low, high = np.quantile(known, [alpha / 2, 1 - alpha / 2])
    return RankCorrelation(value, min(float(low), value), max(float(high), value), n)


def _correlation(first: np.ndarray, second: np.ndarray, within: bool) -> float | None:
    from scipy.stats import rankdata

    if within:
        first, second = first - first.mean(0), second - second.mean(0)
    ranks = [rankdata(of.ravel()) for of in (first, second)]
    spreads = [float(of.std()) for of in ranks]
    if min(spreads) == 0:
        return None
    centred = [of - of.mean() for of in ranks]
    return float((centred[0] * centred[1]).mean() / (spreads[0] * spreads[1]))
