"""Differences from one condition, paired by training seed, with one deviation for all conditions.

With few seeds, a condition's own deviation over them is hardly known, and Student's t asks for
much. If the conditions' deviations are alike, the residuals of the two-way table, conditions by
seeds, estimate them all: s² = Σ (x_cs - x_c. - x_.s + x_..)² / ((C - 1)(S - 1)). A difference of
two conditions' means has the standard error s √(2/S), with (C - 1)(S - 1) degrees of freedom.
"""

from collections.abc import Mapping

import numpy as np

from kdbench.stats.mean import CONFIDENCE
from kdbench.stats.over_seeds import SeedMean


def pooled_differences(
    reference: Mapping[int, float], conditions: Mapping[str, Mapping[int, float]]
) -> dict[str, SeedMean]:
    """The mean difference of each condition, minus the reference.

    Args:
        reference: A number by training seed, of two seeds or more.
        conditions: The same number of other conditions, by name, of the same seeds.

    Raises:
        ValueError: There are fewer than two seeds, or a condition has other seeds.
    """
    from scipy import stats

    seeds = tuple(sorted(reference))
    if len(seeds) < 2 or any(set(of) != set(seeds) for of in conditions.values()):
        raise ValueError("all conditions need the same training seeds, two or more")
    table = np.array([[of[seed] for seed in seeds] for of in (reference, *conditions.values())])
    means = table.mean(1)
    rest = table - means[:, None] - table.mean(0) + table.mean()
    freedom = (len(table) - 1) * (len(seeds) - 1)
    if not conditions:
        return {}
    error = float(np.sqrt((rest**2).sum() / freedom * 2 / len(seeds)))
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * error
    found = {}
    for name, mean in zip(conditions, means[1:], strict=True):
        value = float(mean - means[0])
        if error > 1e-12:
            p = float(2 * stats.t.sf(abs(value) / error, freedom))
        else:  # no seed differs: the sign test, as of `mean_over_seeds`
            p = 2.0 ** (1 - len(seeds)) if abs(value) > 1e-12 else 1.0
        found[name] = SeedMean(value, value - half, value + half, p, seeds)
    return found
