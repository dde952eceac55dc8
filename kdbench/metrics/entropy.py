"""Entropy ratio: the student's entropy divided by the teacher's.

Metric: sum of H(q) over all positions / sum of H(p) over the same positions. At 1 the two are
        equal, below 1 the student has sharpened (mode seeking), above 1 it has flattened. It is a
        ratio of sums because the ratio at a single position is unbounded if the teacher is sure.
"""

from typing import TYPE_CHECKING

from kdbench.metrics import PooledTokenMetric, Positions, metrics
from kdbench.metrics.retained import ratio

if TYPE_CHECKING:
    import numpy as np
    import torch


@metrics.register("entropy_ratio")
class EntropyRatio(PooledTokenMetric):
    """The student's entropy divided by the teacher's; below 1 the student has sharpened."""

    name = "entropy_ratio"
    unit = "ratio"
    direction = "none"
    perfect = 1.0
    from_top_k = "exact"
    needs_entropy = True

    def sums(self, at: Positions) -> "torch.Tensor":
        """Return the student's entropy and the teacher's."""
        import torch

        return torch.stack([at.student_entropy, at.teacher_entropy], -1)

    def value(self, sums: "np.ndarray") -> "np.ndarray":
        """Compute the ratio."""
        return ratio(sums[..., 0], sums[..., 1])
