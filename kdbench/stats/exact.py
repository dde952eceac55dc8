"""Exact sign-flip p-values of many small tests."""

import itertools

import numpy as np

EXACT = 20
"""Up to this number of prompts, all 2^n flips are used instead of random ones."""

ROUNDING = 1e-9
"""Tolerance of comparisons, as a share of the largest difference."""


def exact_p_values(differences: np.ndarray) -> np.ndarray:
    """Two-sided p-values over all 2^n flips, without making them.

    A flip's sum is one of the 2^(n/2) sums of the first half of the signs plus one of the second
    half, so counting the extreme ones takes the square root of the work.

    Args:
        differences: Weighted differences of each test, shape (tests, n), n <= 20; zeros change
            nothing.
    """
    n = differences.shape[1]
    halves = differences[:, : n // 2], differences[:, n // 2 :]
    first, second = (np.sort(half @ _all_signs(half.shape[1]), axis=1) for half in halves)
    needed = np.abs(differences.sum(axis=1)) - ROUNDING * np.abs(differences).max(axis=1, initial=0)
    extreme = np.array(
        [
            len(a) * len(b) - np.searchsorted(b, limit - a, side="left").sum()
            for a, b, limit in zip(first, second, needed, strict=True)
        ],
        dtype=np.float64,
    )
    p_values: np.ndarray = np.minimum(1.0, 2 * extreme / 2**n)
    return p_values


def _all_signs(n: int) -> np.ndarray:
    """Every combination of n signs, shape (n, 2^n)."""
    return np.array(list(itertools.product((1.0, -1.0), repeat=n))).reshape(2**n, n).T
