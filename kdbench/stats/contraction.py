"""The rate at which distances shrink: d_n = c + (d_0 - c) r^n, c ≥ 0 the floor, 0 ≤ r ≤ 1."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_GRID = 1001


@dataclass(frozen=True)
class Contraction:
    """A fitted contraction.

    Attributes:
        rate: r, the factor of a step; 1 is no contraction, as of distances that stay.
        floor: c, where it ends.
    """

    rate: float
    floor: float


def fit_contraction(distances: Sequence[float]) -> Contraction:
    """The rate and the floor by least squares; the first distance is taken as exact.

    Args:
        distances: Distances by step, three or more.

    Raises:
        ValueError: There are fewer than three.
    """
    from scipy.optimize import minimize_scalar

    values = np.array(distances, dtype=float)
    if len(values) < 3:
        raise ValueError("a rate and a floor need three distances or more")
    if np.allclose(values, values[0]):
        return Contraction(1.0, float(values[0]))
    steps = np.arange(len(values))

    def floor(rate: float) -> float:
        weights = 1 - rate**steps
        square = float(weights @ weights)
        found = float(weights @ (values - values[0] * rate**steps)) / square if square else 0.0
        return max(0.0, found)

    def error(rate: float) -> float:
        known = floor(rate)
        return float(((values - known - (values[0] - known) * rate**steps) ** 2).sum())

    grid = np.linspace(0, 1, _GRID)
    best = float(grid[np.argmin([error(rate) for rate in grid])])
    near = (max(0.0, best - 1 / (_GRID - 1)), min(1.0, best + 1 / (_GRID - 1)))
    found = minimize_scalar(error, bounds=near, method="bounded", options={"xatol": 1e-9})
    rate = min((best, float(found.x)), key=error)
    return Contraction(rate, floor(rate))
