"""A test of a mean that skewed differences do not mislead.

Sign flips assume that a difference is as likely to be a loss as a gain of the same size. If most
prompts tie, a few lose a little and very few gain a lot, a small sample often holds only losses,
and sign flips then see a loss where there is none. This test guards against both causes:

- Skew that the sample shows is corrected by Hall's (1992) monotone transformation of Student's t,
  "On the removal of skewness by transformation". Only skew that could feign the change counts. It
  is taken for larger than it is seen, by the factor 1 + `UNDERRATED` / √n, because the rare large
  differences that make a distribution skewed are missing in most small samples.
- Skew that the sample cannot show: one unseen prompt is added, whose difference is opposite to the
  change. It is `UNSEEN` times as large as a typical difference in the change's direction, times the
  share of prompts that tie, divided by one plus the number of opposite differences that were seen.
  Without ties, or where the sample shows both directions, it weighs next to nothing.

Both factors were chosen by simulation (see `benchmarks/gate_skew.py`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from math import expm1, inf, log1p, sqrt

import numpy as np

UNSEEN = 4.0
"""Size of the unseen difference, in typical differences of the opposite direction."""

UNDERRATED = 6.0
"""How much more skew there is than a sample shows, in 1 / √n of it."""

_TIE = 0.25  # largest size of a tie, in typical (size-weighted mean) losses


@dataclass(frozen=True)
class SkewTest:
    """A test of a mean over prompts, and the interval that inverts it.

    Attributes:
        gains: One difference a prompt, shape (n,), weighted so that their plain mean is tested.
        residuals: The differences without the mean of their task, weighted alike, shape (n,).
        largest: Largest weighted difference that is possible.
    """

    gains: np.ndarray
    residuals: np.ndarray
    largest: float = inf

    def p(self, shift: float = 0.0) -> float:
        """The two-sided p-value of the null hypothesis that the mean is `shift`.

        It is 1 if the evidence, corrected for skew, points the other way or nowhere.
        """
        is_loss = self.gains.mean() < shift
        side = self._losses if is_loss else self._gains
        return side.p(shift if is_loss else -shift)

    def interval(self, alpha: float) -> tuple[float, float]:
        """The shifts whose p-value exceeds alpha.

        Args:
            alpha: 1 - coverage, below 1.
        """
        return -self._gains.highest(alpha), self._losses.highest(alpha)

    @cached_property
    def _losses(self) -> "_Side":
        return _side(self.gains, self.residuals, self.largest)

    @cached_property
    def _gains(self) -> "_Side":
        return _side(-self.gains, -self.residuals, self.largest)


def skew_test(differences_by_task: Iterable[np.ndarray], largest: float = inf) -> SkewTest:
    """The test of the plain mean over tasks of each task's mean.

    Args:
        differences_by_task: Differences of each task, shape (n,) each, n >= 1.
        largest: Largest difference that the metric's scale allows.
    """
    tasks = list(differences_by_task)
    n = sum(map(len, tasks))
    weights = [n / (len(tasks) * len(task)) for task in tasks]
    pairs = list(zip(weights, tasks, strict=True))
    return SkewTest(
        np.concatenate([weight * task for weight, task in pairs]),
        np.concatenate([weight * (task - task.mean()) for weight, task in pairs]),
        largest * max(weights),
    )


@dataclass(frozen=True)
class _Side:
    """The test against means above the observed one, with the unseen gain added.

    Attributes:
        mean: Mean of the enlarged sample.
        error: Standard error of the mean; 0 if all differences are equal.
        skew: Skewness of the mean that could feign a loss; at least 0.
        freedom: Degrees of freedom.
    """

    mean: float
    error: float
    skew: float
    freedom: int

    def p(self, shift: float) -> float:
        """The two-sided p-value of the null hypothesis that the mean is `shift`."""
        from scipy.special import stdtr

        if self.mean >= shift:
            return 1.0
        if self.freedom < 1:
            return 1.0
        if self.error == 0:
            return 0.0
        t = (self.mean - shift) / self.error
        a = self.skew / 3
        corrected = t + a * t**2 + a**2 * t**3 / 3 + a / 2
        return min(1.0, 2 * float(stdtr(self.freedom, corrected)))

    def highest(self, alpha: float) -> float:
        """The largest shift whose p-value exceeds alpha."""
        from scipy.special import stdtrit

        if self.freedom < 1:
            return inf
        if self.error == 0:
            return self.mean
        wanted = float(stdtrit(self.freedom, alpha / 2))
        a = self.skew / 3
        # The inverse of t + a t² + a² t³ / 3 + a / 2, for small a without cancellation.
        x = 3 * a * (wanted - a / 2)
        if a == 0:
            t = wanted
        elif abs(x) < 0.01:
            t = expm1(log1p(x) / 3) / a
        else:
            t = (float(np.cbrt(1 + x)) - 1) / a
        return self.mean - min(t, 0.0) * self.error


def _side(gains: np.ndarray, residuals: np.ndarray, largest: float) -> _Side:
    n = len(gains)
    middle = float(np.median(gains))
    unseen = min(middle + _unseen_gain(gains - middle), largest)
    mean = (gains.sum() + unseen) / (n + 1)
    centred = np.append(residuals + gains.mean() - mean, unseen - mean)
    variance = float((centred**2).mean())
    if variance == 0:
        return _Side(float(mean), 0.0, 0.0, n - 1)
    skewness = (1 + UNDERRATED / sqrt(n)) * float((centred**3).mean()) / variance**1.5
    return _Side(float(mean), sqrt(variance / n), max(0.0, skewness) / sqrt(n + 1), n - 1)


def _unseen_gain(centred: np.ndarray) -> float:
    """The size of the gain that a sample of losses may have missed."""
    losses = np.maximum(-centred, 0.0)
    if not losses.any():
        return 0.0
    tie = _TIE * float((losses**2).sum() / losses.sum())
    ties = float((np.abs(centred) <= tie).mean())
    seen = int((centred > tie).sum())
    return UNSEEN * float(losses[losses > tie].mean()) * ties / (1 + seen)
