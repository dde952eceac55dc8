"""95 % intervals of a mean over prompts, and of a plain mean over tasks, in closed form.

Student's interval is short where scores are skewed, and of no width where a rare event did not
occur. Two ways allow for that, and the interval reaches as far as the farther of them:

- Hall's (1992) monotone transformation, "On the removal of skewness by transformation", corrects
  Student's t for the skewness of the sample.
- Scores on a scale with ends, such as rates, also get Wilson's (1927) interval at the effective
  number of prompts of Korn and Graubard (1998), the number of yes-or-no answers whose proportion
  would have the same standard error. For scores of 0 and 1 that is the number of prompts.

The moments of independent tasks add up, so the mean over tasks has a joint interval rather than one
made from the tasks' intervals. How often all these cover the truth is in `benchmarks/RESULTS.md`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import cbrt, expm1, isclose, log1p, sqrt

import numpy as np

CONFIDENCE = 0.95

SCALES: Mapping[str, tuple[float, float]] = {"rate": (0.0, 1.0), "points": (0.0, 100.0)}
"""Ends of the scale of a score, by its unit."""

_ROUNDING = 1e-9


@dataclass(frozen=True)
class Moments:
    """What an interval of a mean is computed from.

    Attributes:
        mean: The mean.
        error: Its standard error.
        skewness: Skewness of the mean, third central moment over the cube of the error.
        freedom: Degrees of freedom of the error.
    """

    mean: float
    error: float
    skewness: float
    freedom: float

    def interval(self, scale: tuple[float, float] | None = None) -> tuple[float, float]:
        """The 95 % interval.

        Args:
            scale: Ends of the scale on which scores lie; None if it has none.
        """
        low, high = self._halls()
        if scale is None or not scale[0] <= self.mean <= scale[1]:
            return low, high
        lowest, highest = self._wilsons(*scale)
        # Rounding must not put the mean outside its own interval.
        return (
            min(self.mean, max(scale[0], min(low, lowest))),
            max(self.mean, min(scale[1], max(high, highest))),
        )

    def p_value(self, shift: float = 0.0) -> float:
        """The two-sided p-value of Student's t test that the mean is `shift`."""
        from scipy.special import stdtr

        if self.error == 0:
            return float(isclose(self.mean, shift, abs_tol=_ROUNDING))
        return 2 * float(stdtr(self.freedom, -abs(self.mean - shift) / self.error))

    def students(self, alpha: float) -> tuple[float, float]:
        """Student's interval: the shifts whose p-value exceeds alpha.

        Args:
            alpha: 1 - coverage.
        """
        reach = _t_quantile(self.freedom, alpha) * self.error
        return self.mean - reach, self.mean + reach

    def detectable(self, alpha: float, power: float) -> float:
        """The smallest change of the mean that Student's t test detects.

        Args:
            alpha: Level of the test.
            power: Probability of detecting the change.
        """
        from scipy.special import nctdtrinc

        # The noncentrality at which the other side of the critical value has 1 - power.
        return self.error * float(
            nctdtrinc(self.freedom, 1 - power, _t_quantile(self.freedom, alpha))
        )

    def _halls(self) -> tuple[float, float]:
        quantile = _t_quantile(self.freedom)
        return (
            self.mean - self.error * _unskewed(quantile, self.skewness),
            self.mean - self.error * _unskewed(-quantile, self.skewness),
        )

    def _wilsons(self, lowest: float, highest: float) -> tuple[float, float]:
        if self.error == 0:
            return self.mean, self.mean
        width, prompts = highest - lowest, self.freedom + 1
        share, variance = (self.mean - lowest) / width, (self.error / width) ** 2
        share = round(share, 9)  # so that a mean that is all but an end counts as one
        spread = share * (1 - share)
        effective = spread / variance * prompts / self.freedom if spread else prompts
        ratio = _t_quantile(self.freedom) ** 2 / max(1.0, effective)
        centre = (share + ratio / 2) / (1 + ratio)
        half = sqrt(ratio * spread + ratio * ratio / 4) / (1 + ratio)
        return lowest + width * (centre - half), lowest + width * (centre + half)


def moments(values: np.ndarray, scale: tuple[float, float] | None = None) -> Moments:
    """The moments of the mean of some prompts' scores.

    Args:
        values: One score per prompt, shape (n,), n > 1.
        scale: Ends of the scale; None if it has none. If all scores lie at one end, the error is
            that of half a prompt at the other end, because none was seen there.
    """
    n, mean = len(values), float(values.mean())
    deviations = values - mean
    variance = float((deviations**2).mean())
    if variance <= (_ROUNDING * max(1.0, abs(mean))) ** 2:
        return Moments(mean, _unseen_error(mean, n, scale), 0.0, n - 1)
    skewness = float((deviations**3).mean()) / variance**1.5 / sqrt(n)
    return Moments(mean, sqrt(variance / (n - 1)), skewness, n - 1)


def mean_moments(tasks: Sequence[Moments]) -> Moments:
    """The moments of the plain mean over tasks, whose prompts are independent.

    The degrees of freedom are those of Welch (1938) and Satterthwaite (1946).

    Args:
        tasks: Moments of each task, at least one.
    """
    k = len(tasks)
    variances = np.array([task.error**2 for task in tasks])
    thirds = np.array([task.skewness * task.error**3 for task in tasks])
    mean, variance = float(np.mean([task.mean for task in tasks])), float(variances.sum())
    if variance == 0:
        return Moments(mean, 0.0, 0.0, min(task.freedom for task in tasks))
    freedom = variance**2 / float((variances**2 / [task.freedom for task in tasks]).sum())
    return Moments(mean, sqrt(variance) / k, float(thirds.sum()) / variance**1.5, freedom)


def scale_of(unit: str, values: np.ndarray) -> tuple[float, float] | None:
    """The ends of a unit's scale; None if it has none, or if a score, a difference, is outside.

    A task's own scores of 0 and 1, such as an accuracy, are a rate.

    Args:
        unit: Unit of the scores.
        values: The scores, shape (n,).
    """
    if unit == "task's own" and np.isin(values, (0.0, 1.0)).all():
        unit = "rate"
    scale = SCALES.get(unit)
    inside = scale is not None and values.size and scale[0] <= values.min() <= values.max()
    return scale if scale is not None and inside and values.max() <= scale[1] else None


def _unseen_error(mean: float, n: int, scale: tuple[float, float] | None) -> float:
    """The standard error where all n scores are equal: 0 unless they lie at an end of the scale."""
    if scale is None or not any(isclose(mean, end, abs_tol=_ROUNDING) for end in scale):
        return 0.0
    share = 0.5 / (n + 1)
    return (scale[1] - scale[0]) * sqrt(share * (1 - share) / n)


def _unskewed(t: float, skewness: float) -> float:
    """The inverse of Hall's transformation t + a t² + a² t³ / 3 + a / 2, where a = skewness / 3."""
    a = skewness / 3
    if a == 0:
        return t
    x = 3 * a * (t - a / 2)
    # For small a without cancellation.
    return expm1(log1p(x) / 3) / a if abs(x) < 0.01 else (float(cbrt(1 + x)) - 1) / a


def _t_quantile(freedom: float, alpha: float = 1 - CONFIDENCE) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 1 - alpha / 2))
