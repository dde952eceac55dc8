"""Helpers of the tests of comparisons."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

KINDS = {
    "rougeL": ("points", "higher"),
    "cut_off": ("rate", "lower"),
    "response_length": ("tokens", "none"),
    "acc,none": ("task's own", "higher"),
    "acc_norm,none": ("task's own", "higher"),
}
PROTOCOL = {"name": "minillm", "temperature": 1.0, "seeds": [10, 20]}
Put = Callable[..., Path]


def noisy(n: int, mean: float, seed: int = 0, spread: float = 1.0) -> np.ndarray:
    """Scores of shape (n, 2)."""
    return np.random.default_rng(seed).normal(mean, spread, (n, 2)).round(4)
