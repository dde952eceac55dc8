"""Differences of conditions, paired by training seed, with one deviation for all conditions.

With few seeds, a condition's own deviation over them is hardly known, and Student's t asks for
much. If the conditions' deviations are alike, the residuals of the two-way table, conditions by
seeds, estimate them all: s² = Σ (x_cs - x_c. - x_.s + x_..)² / ((C - 1)(S - 1)). A difference of
two conditions' means has the standard error s √(2/S), with (C - 1)(S - 1) degrees of freedom.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from kdbench.stats.mean import CONFIDENCE
from kdbench.stats.over_seeds import SeedMean

_ROUNDING = 1e-12


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
    seeds = tuple(sorted(reference))
    if len(seeds) < 2 or any(set(of) != set(seeds) for of in conditions.values()):
        raise ValueError("all conditions need the same training seeds, two or more")
    if not conditions:
        return {}
    table = np.array([[of[seed] for seed in seeds] for of in (reference, *conditions.values())])
    pairs = [(row, 0) for row in range(1, len(table))]
    return dict(zip(conditions, pooled_pairs(table, pairs, seeds), strict=True))


def pooled_pairs(
    table: np.ndarray, pairs: Sequence[tuple[int, int]], seeds: tuple[int, ...]
) -> list[SeedMean]:
    """The mean differences of pairs of conditions, the first minus the second.

    Args:
        table: Numbers, (conditions, seeds), two or more of each.
        pairs: Rows of the two conditions of each pair.
        seeds: The training seeds.
    """
    from scipy import stats

    means, count = table.mean(1), len(seeds)
    rest = table - means[:, None] - table.mean(0) + table.mean()
    freedom = (len(table) - 1) * (count - 1)
    error = float(np.sqrt((rest**2).sum() / freedom * 2 / count))
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * error
    least = _ROUNDING * max(1.0, float(np.abs(table).max()))
    found = []
    for first, second in pairs:
        value = float(means[first] - means[second])
        if error > least:
            p = float(2 * stats.t.sf(abs(value) / error, freedom))
        else:  # no seed differs: the sign test, as of `mean_over_seeds`
            p = 2.0 ** (1 - count) if abs(value) > least else 1.0
        found.append(SeedMean(value, value - half, value + half, p, seeds))
    return found
