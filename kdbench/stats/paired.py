"""Paired statistics of a mean over prompts: numbers on arrays, and nothing else.

The unit is the prompt. `differences` are one number a prompt, shape (n,); the null hypothesis is
that they are spread symmetrically about zero, as they are when two checkpoints of equal quality
answer the same prompts. Then every sign could as well be the other one, which gives exact p-values
(Fisher 1935), and every shift of the null gives an interval: a flip of the signs in a set of
prompts beats the observed mean for just the shifts between the mean over the set and the mean over
the others (Hartigan 1969, "Using subsample values as typical values"). So one drawing gives the
p-value against any tolerance and the interval, and these never contradict one another:
0 is outside the interval if and only if p <= alpha.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import NormalDist

import numpy as np

RESAMPLES = 10_000
EXACT = 20  # up to so many prompts all 2^n flips are taken
POWER = 0.80
_CHUNK = 2**21  # random signs that live at once
_SAME = 1e-9  # of the greatest difference: what rounding alone can do


@dataclass(frozen=True)
class Flips:
    """What sign flips do to a weighted mean of differences.

    Attributes:
        mean: the observed one.
        moved: weighted sum of the differences whose sign is flipped, shape (R,).
        share: weight of these differences, of 1, shape (R,).
        scale: the greatest difference, for comparisons beyond rounding.

    The identity is among the R flips.
    """

    mean: float
    moved: np.ndarray = field(repr=False)
    share: np.ndarray = field(repr=False)
    scale: float

    @cached_property
    def _typical(self) -> tuple[np.ndarray, np.ndarray]:
        """The shifts between which each flip beats the observed mean; both ends sorted."""
        inside = (self.share > _SAME) & (self.share < 1 - _SAME)
        share = np.where(inside, self.share, 0.5)
        one = np.where(inside, self.moved / share, -np.inf)
        other = np.where(inside, (self.mean - self.moved) / (1 - share), np.inf)
        return np.sort(np.minimum(one, other)), np.sort(np.maximum(one, other))

    def p(self, shift: float = 0.0) -> float:
        """Two-sided p-value of a mean that is `shift`; twice the one-sided one."""
        low, high = self._typical
        slack = _SAME * self.scale
        if shift <= self.mean:
            hits = np.searchsorted(low, shift + slack, side="right")
        else:
            hits = len(high) - np.searchsorted(high, shift - slack, side="left")
        return float(hits) / len(low)

    def interval(self, alpha: float) -> tuple[float, float]:
        """The shifts whose p-value is above alpha; an end is infinite where n is too small.

        Args:
            alpha: 1 - coverage, below 1.
        """
        if self.scale == 0:
            return 0.0, 0.0
        low, high = self._typical
        at = int(np.floor(alpha * len(low) + _SAME))
        return float(low[at]), float(high[-1 - at])


def sign_flips(differences: np.ndarray, stream: str = "", resamples: int = RESAMPLES) -> Flips:
    """All 2^n sign flips, or random ones where n > 20.

    Args:
        differences: one a prompt, shape (n,), n >= 1.
        stream: names the random signs; different names are independent.
        resamples: number of random flips.
    """
    n = len(differences)
    if n <= EXACT:
        return _all_flips(differences, np.full(n, 1 / n))
    return _random_flips(differences, stream, resamples)


def average_flips(
    parts: Mapping[str, np.ndarray], drawn: Mapping[str, Flips], resamples: int = RESAMPLES
) -> Flips:
    """Joint sign flips inside several tasks, of the plain mean of the tasks' means.

    Args:
        parts: differences by task.
        drawn: each task's own flips; random ones are used again.
        resamples: number of random flips.
    """
    if sum(map(len, parts.values())) <= EXACT:
        weights = [np.full(len(part), 1 / (len(part) * len(parts))) for part in parts.values()]
        return _all_flips(np.concatenate(list(parts.values())), np.concatenate(weights))
    flips = [
        drawn[task] if len(part) > EXACT else _random_flips(part, task, resamples)
        for task, part in parts.items()
    ]
    return Flips(
        float(np.mean([one.mean for one in flips])),
        np.mean([one.moved for one in flips], axis=0),
        np.mean([one.share for one in flips], axis=0),
        max(one.scale for one in flips),
    )


def _all_flips(differences: np.ndarray, weights: np.ndarray) -> Flips:
    """Every flip by doubling; the last sign stays, for turning all of them changes nothing."""
    moved = share = np.zeros(1)
    for each, weight in zip((differences * weights)[:-1], weights[:-1], strict=True):
        moved = np.concatenate([moved, moved + each])
        share = np.concatenate([share, share + weight])
    return Flips(float(differences @ weights), moved, share, _scale(differences))


def _random_flips(differences: np.ndarray, stream: str, resamples: int) -> Flips:
    n = len(differences)
    rng = np.random.default_rng(zlib.crc32(stream.encode()))
    columns = np.stack([differences, np.ones(n)], axis=1) / n
    sums = [np.zeros((1, 2))]  # the identity
    rows = max(1, _CHUNK // n)
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        bits = np.frombuffer(rng.bytes(size * ((n + 7) // 8)), np.uint8).reshape(size, -1)
        sums.append(np.unpackbits(bits, axis=1, count=n).astype(np.float64) @ columns)
    moved, share = np.concatenate(sums).T
    return Flips(float(differences.mean()), moved, share, _scale(differences))


def _scale(differences: np.ndarray) -> float:
    return float(np.abs(differences).max(initial=0.0))


def equal_sizes_p(differences: np.ndarray) -> float | None:
    """The p-value of all 2^n flips where all differences that are not 0 have one size.

    These are the differences of binary scores, and the p-value is that of McNemar's exact test:
    with m discordant prompts, k of them on the rarer side, min(1, 2 P[Bin(m, 1/2) <= k]).

    Returns:
        None where the sizes differ.
    """
    there = differences[np.abs(differences) > _SAME * _scale(differences)]
    sizes = np.abs(there)
    if len(there) and np.ptp(sizes) > _SAME * sizes.max():
        return None
    m, k = len(there), min(int((there > 0).sum()), int((there < 0).sum()))
    term, total = 1, 1
    for i in range(1, k + 1):
        term = term * (m - i + 1) // i
        total += term
    return min(1.0, float(2 * total / 2**m))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's (1979) adjusted p-values: those <= alpha are wrong together at most alpha often."""
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    ranked = sorted(range(len(p_values)), key=lambda i: p_values[i])
    for rank, index in enumerate(ranked):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def standard_error(differences: np.ndarray) -> float | None:
    """Of the mean; None for a single prompt."""
    n = len(differences)
    return float(differences.std(ddof=1) / np.sqrt(n)) if n > 1 else None


def reach(alpha: float, power: float = POWER) -> float:
    """z(1 - alpha/2) + z(power): how many standard errors a two-sided test can see."""
    normal = NormalDist()
    return normal.inv_cdf(1 - alpha / 2) + normal.inv_cdf(power)


def bootstrap_interval(
    parts: Mapping[str, np.ndarray], alpha: float, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """Percentile bootstrap over prompts of the mean of the parts' means.

    Args:
        parts: by task: differences, shape (n,); or, for the hierarchical bootstrap, by prompt and
            seed, shape (n, k): then seeds are drawn again within each drawn prompt.
        alpha: 1 - coverage.
        resamples: number of them.
    """
    means = np.mean([_resampled(part, task, resamples) for task, part in parts.items()], axis=0)
    low, high = np.quantile(means, [alpha / 2, 1 - alpha / 2])
    return float(low), float(high)


def _resampled(values: np.ndarray, stream: str, resamples: int) -> np.ndarray:
    n, k = len(values), values.shape[1] if values.ndim > 1 else 1
    rng = np.random.default_rng(zlib.crc32(stream.encode()))
    flat = values.ravel()
    means = np.empty(resamples)
    rows = max(1, _CHUNK // (n * k))
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        drawn = rng.integers(0, n, (size, n), dtype=np.int32)
        if k > 1:
            seeds = rng.integers(0, k, (size, n, k), dtype=np.int32)
            drawn = (drawn[:, :, None] * k + seeds).reshape(size, -1)
        means[start : start + size] = flat[drawn].mean(axis=1)
    return means
