"""Rank correlation of two numbers over conditions, with a bootstrap that resamples them whole."""

from dataclasses import dataclass

import numpy as np

from kdbench.stats.mean import CONFIDENCE

_RESAMPLES = 2000
_FEWEST = 4
"""Conditions with an interval: of three, every third order is a perfect one by chance."""


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
        four conditions or two repetitions.
    """
    means = first.mean(1)[None], second.mean(1)[None]
    value = float(_correlations(*means, within)[0])
    if np.isnan(value):
        return None
    n = first.shape[0] * first.shape[2]
    if first.shape[0] < _FEWEST or first.shape[1] < 2:
        return RankCorrelation(value, None, None, n)
    drawn = _correlations(*_resampled(first, second, resamples), within)
    alpha = 1 - CONFIDENCE
    low, high = np.nanquantile(drawn, [alpha / 2, 1 - alpha / 2])
    return RankCorrelation(value, min(float(low), value), max(float(high), value), n)


def _resampled(
    first: np.ndarray, second: np.ndarray, resamples: int
) -> tuple[np.ndarray, np.ndarray]:
    """Means over resampled repetitions of resampled conditions, (resamples, conditions, points)."""
    rng = np.random.default_rng(0)
    conditions, repetitions, _ = first.shape
    shares = rng.multinomial(repetitions, [1 / repetitions] * repetitions, resamples) / repetitions
    rows = rng.integers(0, conditions, (resamples, conditions))
    each = np.arange(resamples)[:, None]
    one, other = (np.einsum("csp,rs->rcp", of, shares)[each, rows] for of in (first, second))
    return one, other


def _correlations(first: np.ndarray, second: np.ndarray, within: bool) -> np.ndarray:
    """Spearman's correlation of each of several (conditions, points); NaN if one is constant."""
    from scipy.stats import rankdata

    centred = []
    for of in (first, second):
        shown = of - of.mean(1, keepdims=True) if within else of
        ranks = rankdata(shown.reshape(len(shown), -1), axis=1)
        centred.append(ranks - ranks.mean(1, keepdims=True))
    spreads = np.sqrt((centred[0] ** 2).sum(1) * (centred[1] ** 2).sum(1))
    products = (centred[0] * centred[1]).sum(1)
    found: np.ndarray = np.full(len(products), np.nan)
    np.divide(products, spreads, out=found, where=spreads > 0)
    return found
