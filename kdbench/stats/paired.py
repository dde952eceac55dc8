"""Paired tests of a mean over prompts.

The unit of analysis is the prompt: every function takes one difference a prompt, shape (n,).

Sign-flip test (Fisher 1935). The null hypothesis is that the differences are distributed
symmetrically about zero, so that each sign is exchangeable. The p-value is the share of sign flips
whose mean is at least as extreme as the observed mean. It is exact under this hypothesis; with
sparse, lopsided differences and few prompts the true error rate exceeds the stated level, so the
gate also asks the test of `kdbench.stats.skew`.

Inverted sign-flip test (Hartigan 1969, "Using subsample values as typical values"). Flipping the
signs of a set of prompts beats the observed mean under exactly those shifts of the null that lie
between the mean over the set and the mean over the remaining prompts. One set of flips therefore
gives the p-value against any shift and the interval, and the two always agree: 0 is outside the
interval if and only if p <= alpha.
"""

import math
import sys
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import NormalDist

import numpy as np

from kdbench.stats.defaults import POWER, RESAMPLES
from kdbench.stats.exact import EXACT, ROUNDING

EXACT_WORK = 2**23
"""Limit of the flips of all exact tests together, which bounds time and memory."""

_FEW = 13  # up to this number of prompts all flips are fewer than the random ones
_SIGNS_AT_ONCE = 2**21  # limits the memory of random flips


@dataclass(frozen=True)
class Flips:
    """Sign flips of a weighted mean of differences; the identity is one of the R flips.

    Attributes:
        mean: The observed mean.
        moved: Weighted sum of the differences whose sign is flipped, shape (R,).
        share: Total weight of these differences, between 0 and 1, shape (R,).
        scale: The largest absolute difference.
    """

    mean: float
    moved: np.ndarray = field(repr=False)
    share: np.ndarray = field(repr=False)
    scale: float

    @cached_property
    def _shifts(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper ends of the shifts under which each flip beats the mean, both sorted."""
        proper = (self.share > ROUNDING) & (self.share < 1 - ROUNDING)
        share = np.where(proper, self.share, 0.5)
        of_flipped = np.where(proper, self.moved / share, -np.inf)
        of_kept = np.where(proper, (self.mean - self.moved) / (1 - share), np.inf)
        return np.sort(np.minimum(of_flipped, of_kept)), np.sort(np.maximum(of_flipped, of_kept))

    def p(self, shift: float = 0.0) -> float:
        """The two-sided p-value of the null hypothesis that the mean is `shift`.

        It is twice the one-sided p-value.
        """
        low, high = self._shifts
        slack = ROUNDING * self.scale
        if shift <= self.mean:
            hits = np.searchsorted(low, shift + slack, side="right")
        else:
            hits = len(high) - np.searchsorted(high, shift - slack, side="left")
        return float(hits) / len(low)

    def interval(self, alpha: float) -> tuple[float, float]:
        """The shifts whose p-value exceeds alpha; an end is infinite if n is too small.

        Args:
            alpha: 1 - coverage, below 1.
        """
        if self.scale == 0:
            return 0.0, 0.0
        low, high = self._shifts
        rejected = int(np.floor(alpha * len(low) + ROUNDING))
        return float(low[rejected]), float(high[-1 - rejected])


def exact_limit(sizes: Iterable[int]) -> int:
    """The number of prompts up to which all flips are used.

    It is `EXACT`, or less if there are so many tests that all flips would take too long.

    Args:
        sizes: Number of prompts of each test.
    """
    work = sum(2 ** (n - 1) for n in sizes if n <= EXACT)
    return EXACT if work <= EXACT_WORK else _FEW


def sign_flips(
    differences: np.ndarray, stream: str = "", resamples: int = RESAMPLES, exact: int = EXACT
) -> Flips:
    """Sign flips of a mean: all 2^n for few prompts, otherwise random ones.

    Args:
        differences: One difference a prompt, shape (n,), n >= 1.
        stream: Name of the random stream; different names give independent signs.
        resamples: Number of random flips.
        exact: Number of prompts up to which all flips are used.
    """
    n = len(differences)
    if n <= exact:
        return _all_flips(differences, np.full(n, 1 / n))
    return _random_flips(differences, stream, resamples)


def average_flips(
    differences_by_task: Mapping[str, np.ndarray],
    flips_by_task: Mapping[str, Flips],
    resamples: int = RESAMPLES,
    exact: int = EXACT,
) -> Flips:
    """Joint sign flips of the plain mean over tasks of each task's mean.

    Args:
        differences_by_task: Differences of each task, shape (n,) each.
        flips_by_task: Flips of each task alone; the random ones are reused.
        resamples: Number of random flips.
        exact: Number of prompts up to which all flips were used.
    """
    tasks = len(differences_by_task)
    if sum(map(len, differences_by_task.values())) <= exact:
        weights = [np.full(len(d), 1 / (len(d) * tasks)) for d in differences_by_task.values()]
        return _all_flips(
            np.concatenate(list(differences_by_task.values())), np.concatenate(weights)
        )
    flips = [
        flips_by_task[task]
        if len(differences) > exact
        else _random_flips(differences, task, resamples)
        for task, differences in differences_by_task.items()
    ]
    return Flips(
        float(np.mean([of_task.mean for of_task in flips])),
        np.mean([of_task.moved for of_task in flips], axis=0),
        np.mean([of_task.share for of_task in flips], axis=0),
        max(of_task.scale for of_task in flips),
    )


def can_reject(n: int, alpha: float) -> bool:
    """Whether any differences of n prompts could reject a null hypothesis.

    The smallest p-value of the sign flips is 2^(1 - n), so with fewer prompts even equal scores are
    no evidence that nothing changed.

    Args:
        n: Number of prompts.
        alpha: Level of the test.
    """
    return 2.0 ** (1 - min(n, 1000)) <= alpha


def _all_flips(differences: np.ndarray, weights: np.ndarray) -> Flips:
    """Every flip, by doubling. The last sign is fixed: flipping all signs changes nothing."""
    moved = share = np.zeros(1)
    for weighted, weight in zip((differences * weights)[:-1], weights[:-1], strict=True):
        moved = np.concatenate([moved, moved + weighted])
        share = np.concatenate([share, share + weight])
    return Flips(float(differences @ weights), moved, share, _scale(differences))


def _random_flips(differences: np.ndarray, stream: str, resamples: int) -> Flips:
    n = len(differences)
    rng = np.random.default_rng(zlib.crc32(stream.encode()))
    columns = np.stack([differences, np.ones(n)], axis=1) / n
    sums = [np.zeros((1, 2))]  # the identity
    rows = max(1, _SIGNS_AT_ONCE // n)
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        bits = np.frombuffer(rng.bytes(size * ((n + 7) // 8)), np.uint8).reshape(size, -1)
        sums.append(np.unpackbits(bits, axis=1, count=n).astype(np.float64) @ columns)
    moved, share = np.concatenate(sums).T
    return Flips(float(differences.mean()), moved, share, _scale(differences))


def _scale(differences: np.ndarray) -> float:
    return float(np.abs(differences).max(initial=0.0))


def equal_sizes_p(differences: np.ndarray) -> float | None:
    """The two-sided p-value over all 2^n flips if all non-zero differences have the same size.

    Differences of binary scores do, and the p-value is then that of McNemar's exact test: with m
    discordant prompts, k of them on the rarer side, min(1, 2 P[Bin(m, 1/2) <= k]).

    Args:
        differences: One difference a prompt, shape (n,).

    Returns:
        The p-value; None if the sizes differ.
    """
    nonzero = differences[np.abs(differences) > ROUNDING * _scale(differences)]
    sizes = np.abs(nonzero)
    if len(nonzero) and np.ptp(sizes) > ROUNDING * sizes.max():
        return None
    m, k = len(nonzero), min(int((nonzero > 0).sum()), int((nonzero < 0).sum()))
    term, total = 1, 1
    for i in range(1, k + 1):
        term = term * (m - i + 1) // i
        total += term
    return min(1.0, float(2 * total / 2**m))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's (1979) adjusted p-values.

    Rejecting those at or below alpha rejects any true null hypothesis with a probability of at most
    alpha, however the tests depend on each other.

    Args:
        p_values: Unadjusted p-values.
    """
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    ranked = sorted(range(len(p_values)), key=lambda i: p_values[i])
    for rank, index in enumerate(ranked):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def standard_error(differences: np.ndarray) -> float | None:
    """The standard error of the mean; None for a single prompt."""
    n = len(differences)
    return float(differences.std(ddof=1) / np.sqrt(n)) if n > 1 else None


def detectable_errors(alpha: float, power: float = POWER) -> float:
    """The smallest change that a two-sided test detects, in standard errors.

    It is z(1 - alpha/2) + z(power), by the normal approximation.

    Args:
        alpha: Level of the test.
        power: Probability of detecting the change.
    """
    normal = NormalDist()
    return normal.inv_cdf(power) - normal.inv_cdf(max(alpha / 2, sys.float_info.min))


def prompts_needed(n: int, change: float, tolerance: float) -> int | None:
    """The number of prompts that detects a change as small as a tolerance.

    Args:
        n: Number of prompts that detects `change`.
        change: Change that n prompts detect.
        tolerance: Change to detect.

    Returns:
        The number; None if no number of prompts is enough, as at tolerance 0.
    """
    ratio = change / tolerance if tolerance else math.inf
    needed = n * ratio * ratio
    return math.ceil(needed) if math.isfinite(needed) else None
