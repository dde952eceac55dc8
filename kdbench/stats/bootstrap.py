"""Percentile bootstrap intervals over prompts (Efron 1979).

The random generators have fixed seeds, so equal scores always give equal intervals.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache

import numpy as np

from kdbench.stats.defaults import RESAMPLES
from kdbench.stats.mean import CONFIDENCE

_INDICES_AT_ONCE = 2**21  # limits the memory of resampled means
_COUNTS_AT_ONCE = 2**22  # limits the memory of resampled sums
_CACHED_COUNTS = 2**24


def average_interval(
    values_by_task: Mapping[str, np.ndarray], alpha: float, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """The interval of the plain mean over tasks of each task's mean.

    Args:
        values_by_task: Values of each task, one a prompt, shape (n,). Shape (n, k) asks for the
            hierarchical bootstrap: the k seeds are resampled within each resampled prompt.
        alpha: 1 - coverage.
        resamples: Number of resamples.
    """
    means = [
        _resampled_means(values, zlib.crc32(task.encode()), resamples)
        for task, values in values_by_task.items()
    ]
    return _interval(np.mean(means, axis=0), alpha)


def _interval(means: np.ndarray, alpha: float) -> tuple[float, float]:
    low, high = np.quantile(means, [alpha / 2, 1 - alpha / 2])
    return float(low), float(high)


def _resampled_means(values: np.ndarray, seed: int, resamples: int) -> np.ndarray:
    """Means of resamples, shape (resamples,), of values of shape (n,) or (n, k)."""
    n, k = len(values), values.shape[1] if values.ndim > 1 else 1
    rng = np.random.default_rng(seed)
    flat = values.ravel()
    means = np.empty(resamples)
    rows = max(1, _INDICES_AT_ONCE // (n * k))
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        drawn = rng.integers(0, n, (size, n), dtype=np.int32)
        if k > 1:
            seeds = rng.integers(0, k, (size, n, k), dtype=np.int32)
            drawn = (drawn[:, :, None] * k + seeds).reshape(size, -1)
        means[start : start + size] = flat[drawn].mean(axis=1)
    return means


def pooled_interval(
    sums: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """The 95 % intervals of functions of sums, such as ratios.

    Args:
        sums: What each prompt adds to the K sums, shape (n, K).
        statistic: Maps sums of shape (R, K) to numbers of shape (R,) or (R, B).

    Returns:
        Lower and upper ends, shape () or (B,). An end is NaN if the statistic is undefined for any
        resample, because the remaining resamples alone would mislead.
    """
    values = np.concatenate([statistic(counts @ sums) for counts in _resample_counts(len(sums))])
    defined = np.isfinite(values).all(axis=0)
    tail = (1 - CONFIDENCE) / 2
    ends = np.quantile(np.where(defined, values, 0.0), [tail, 1 - tail], axis=0)
    low, high = np.where(defined, ends, np.nan)
    return low, high


def _resample_counts(n: int) -> Iterable[np.ndarray]:
    """How often each resample draws each of n prompts, in chunks of shape (R, n).

    The sums of the resamples are then matrix products.
    """
    return _cached_counts(n) if RESAMPLES * n <= _CACHED_COUNTS else _drawn_counts(n)


@lru_cache(maxsize=4)
def _cached_counts(n: int) -> tuple[np.ndarray, ...]:
    return tuple(_drawn_counts(n))


def _drawn_counts(n: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(0)
    rows = max(1, _COUNTS_AT_ONCE // n)
    for start in range(0, RESAMPLES, rows):
        size = min(rows, RESAMPLES - start)
        yield rng.multinomial(n, np.full(n, 1 / n), size).astype(np.float64)
