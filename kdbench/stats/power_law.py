"""The law of diminishing returns L(D) = E + B D^-β, fitted by least squares."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

EXPONENTS = (0.01, 5.0)
"""Bounds of β: beyond them, no data of this form tell a power law from a line or a step."""

_GRID = 400
_ON_BOUND = 1e-3  # relative to the bounds' ratio, in logs


@dataclass(frozen=True)
class PowerLaw:
    """A fitted law.

    Attributes:
        floor: E, what remains with endless data, 0 or more.
        scale: B at D = 1, 0 or more.
        exponent: β, within `EXPONENTS`.
        error: Root mean square of the residuals, in units of L.
    """

    floor: float
    scale: float
    exponent: float
    error: float

    @property
    def is_determined(self) -> bool:
        """Whether the exponent lies within its bounds, and the floor above 0."""
        low, high = np.log(EXPONENTS)
        reach = _ON_BOUND * (high - low)
        within = bool(low + reach < np.log(self.exponent) < high - reach)
        return within and self.floor > 0 and self.scale > 0

    def at(self, amount: float) -> float:
        """L at an amount D."""
        return float(self.floor + self.scale * amount**-self.exponent)


def fit_power_law(amounts: Sequence[float], losses: Sequence[float]) -> PowerLaw:
    """Fit E, B and β by least squares in L, with E and B of 0 or more.

    For a given β the law is linear in E and B, so that β alone is searched: on a grid over its
    whole range, then around the best of it. So the result does not depend on a start.

    Args:
        amounts: D, above 0; three different ones at least.
        losses: L at each of them.

    Raises:
        ValueError: There are too few points, or one is not a number that a law may have.
    """
    from scipy.optimize import minimize_scalar

    x, y = np.asarray(amounts, dtype=float), np.asarray(losses, dtype=float)
    if len(x) != len(y) or len(np.unique(x)) < 3:
        raise ValueError("a power law needs a loss at three different amounts at least")
    if not (np.isfinite(y).all() and (x > 0).all()):
        raise ValueError("amounts must be above 0, and losses finite")
    centre = float(np.exp(np.log(x).mean()))  # so that powers of large amounts do not underflow
    low, high = (float(np.log(end)) for end in EXPONENTS)
    grid = np.linspace(low, high, _GRID)
    errors = [_linear(x / centre, y, log_exponent)[1] for log_exponent in grid]
    best = int(np.argmin(errors))
    around = grid[max(best - 1, 0)], grid[min(best + 1, _GRID - 1)]
    found = minimize_scalar(
        lambda log_exponent: _linear(x / centre, y, log_exponent)[1],
        bounds=around,
        method="bounded",
        options={"xatol": 1e-10},
    )
    log_exponent = float(found.x) if found.fun <= errors[best] else float(grid[best])
    (floor, at_centre), squares = _linear(x / centre, y, log_exponent)
    exponent = float(np.exp(log_exponent))
    scale = float(at_centre * centre**exponent)
    return PowerLaw(float(floor), scale, exponent, float(np.sqrt(squares / len(x))))


def _linear(x: np.ndarray, y: np.ndarray, log_exponent: float) -> tuple[np.ndarray, float]:
    """E and B for a given exponent, and the sum of squared residuals."""
    from scipy.optimize import nnls

    columns = np.stack([np.ones_like(x), x ** -np.exp(log_exponent)], axis=1)
    found, norm = nnls(columns, y)
    return found, float(norm) ** 2
