"""Curves of quality against entropy, and the mean vertical distance of two.

A curve joins the points (x, y) of one student at several temperatures by straight lines, in the
order of x. For curves f and g with a common range of x from a to b, the distance is

    1 / (b - a) * integral from a to b of (f(x) - g(x)) dx.

It is exact: between two neighbouring points of either curve, f - g is a straight line.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Curve:
    """A piecewise linear curve.

    Attributes:
        x: Entropies in nats per token, strictly ascending, shape (n,).
        y: Qualities, shape (n,).
    """

    x: np.ndarray
    y: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray, y: np.ndarray) -> "Curve":
        """The curve through points in any order; of several points with one x, it takes the mean.

        Args:
            x: Entropies, shape (n,), n >= 1.
            y: Qualities, shape (n,).
        """
        places, index = np.unique(x, return_inverse=True)
        return cls(places, np.bincount(index, weights=y) / np.bincount(index))


def common_range(first: Curve, second: Curve) -> tuple[float, float] | None:
    """The range of x that both curves cover; None if it has no width."""
    low = float(max(first.x[0], second.x[0]))
    high = float(min(first.x[-1], second.x[-1]))
    return (low, high) if low < high else None


def mean_gap(first: Curve, second: Curve) -> float | None:
    """The mean of the first curve less the second over their common range; None if it is empty."""
    shared = common_range(first, second)
    if shared is None:
        return None
    low, high = shared
    grid = np.unique(np.concatenate([first.x, second.x]).clip(low, high))
    gap = np.interp(grid, first.x, first.y) - np.interp(grid, second.x, second.y)
    return float(np.trapezoid(gap, grid) / (high - low))
