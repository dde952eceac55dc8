"""The ratio of two means over training seeds, with Fieller's interval.

Fieller (1954), "Some problems in interval estimation": the ratios R for which the mean of
n_s - R d_s over the seeds is not found different from 0 by a paired t test. The interval is bounded
only where the denominator's mean is found different from 0; otherwise any ratio fits, and there is
none. It is exact for normal numbers, and not symmetric.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt

import numpy as np

from kdbench.stats.mean import CONFIDENCE


@dataclass(frozen=True)
class SeedRatio:
    """A ratio of means over training seeds.

    Attributes:
        value: The ratio of the means.
        low: Lower end of its 95 % interval.
        high: Upper end.
        seeds: The training seeds.
    """

    value: float
    low: float
    high: float
    seeds: tuple[int, ...]


def ratio_over_seeds(
    numerators: Mapping[int, float], denominators: Mapping[int, float]
) -> SeedRatio | None:
    """The ratio of the means over the training seeds that both have.

    Args:
        numerators: A number by training seed.
        denominators: Another one.

    Returns:
        The ratio; None if it is not defined: there are fewer than two seeds, or the denominators'
        mean is not found to be above 0 at the 5 % level.
    """
    from scipy.special import stdtrit

    seeds = tuple(seed for seed in sorted(numerators) if seed in denominators)
    if len(seeds) < 2:
        return None
    above = np.array([numerators[seed] for seed in seeds], dtype=float)
    below = np.array([denominators[seed] for seed in seeds], dtype=float)
    covariance = np.cov(above, below) / len(seeds)
    square = float(stdtrit(len(seeds) - 1, 1 - (1 - CONFIDENCE) / 2)) ** 2
    # a R² - 2 b R + c <= 0
    a = below.mean() ** 2 - square * covariance[1, 1]
    b = above.mean() * below.mean() - square * covariance[0, 1]
    c = above.mean() ** 2 - square * covariance[0, 0]
    if below.mean() <= 0 or a <= 0:
        return None
    reach = sqrt(max(0.0, b * b - a * c))
    value = float(above.mean() / below.mean())
    return SeedRatio(value, float((b - reach) / a), float((b + reach) / a), seeds)
