"""Logistic regression on a few numbers of each row, fitted to the end by Newton's method."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

_PENALTY = 1.0  # of the squared weights of standardised features, as scikit-learn's C=1
_STEPS = 100
_TOLERANCE = 1e-10
_LARGEST = 30.0  # of a logit, beyond which exp overflows nothing but helps nobody


@dataclass(frozen=True)
class Classifier:
    """A fitted classifier.

    Attributes:
        mean: Mean of each of the d features, (d,).
        scale: Standard deviation of each, 1 where it is 0, (d,).
        weights: The intercept and the weight of each standardised feature, (1 + d,).
    """

    mean: "np.ndarray"
    scale: "np.ndarray"
    weights: "np.ndarray"

    def probabilities(self, rows: Sequence[Sequence[float]]) -> "np.ndarray":
        """The probability of each row to be right, float64 of (n,)."""
        import numpy as np

        values = (np.asarray(rows, dtype=np.float64) - self.mean) / self.scale
        return _sigmoid(self.weights[0] + values @ self.weights[1:])


def fit(rows: Sequence[Sequence[float]], right: Sequence[bool]) -> Classifier:
    """Fit a classifier; the intercept has no penalty.

    Args:
        rows: The features, n rows of d numbers.
        right: Whether each is right; there are some of both.
    """
    import numpy as np

    values = np.asarray(rows, dtype=np.float64)
    mean, scale = values.mean(0), values.std(0)
    scale[scale == 0] = 1.0
    inputs = np.column_stack([np.ones(len(values)), (values - mean) / scale])
    labels = np.asarray(right, dtype=np.float64)
    penalty = np.full(inputs.shape[1], _PENALTY)
    penalty[0] = 0.0
    weights = np.zeros(inputs.shape[1])
    for _ in range(_STEPS):
        found = _sigmoid(inputs @ weights)
        gradient = inputs.T @ (found - labels) + penalty * weights
        curvature = (inputs * (found * (1 - found))[:, None]).T @ inputs + np.diag(penalty)
        step = np.linalg.solve(curvature + 1e-9 * np.eye(len(weights)), gradient)
        size = float(np.abs(step).max())
        weights = weights - step / max(1.0, size)  # no leap from a flat start
        if size < _TOLERANCE:
            break
    return Classifier(mean, scale, weights)


def _sigmoid(logits: "np.ndarray") -> "np.ndarray":
    import numpy as np

    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -_LARGEST, _LARGEST))))
