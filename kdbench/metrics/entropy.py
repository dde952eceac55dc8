"""Entropy ratio: whether the student is as unsure as its teacher.

Metric: sum of H(q) over all positions / sum of H(p) over the same; 1 is equal, below 1 the student
        has sharpened (mode seeking), above 1 it has flattened. A ratio of sums: that of single
        positions is unbounded where the teacher is sure.
"""

from typing import TYPE_CHECKING

from kdbench.metrics import PooledTokenMetric, Positions, metrics
from kdbench.metrics.retained import ratio

if TYPE_CHECKING:
    import numpy as np
    import torch


@metrics.register("entropy_ratio")
class EntropyRatio(PooledTokenMetric):
    """The student's entropy over the teacher's."""

    name = "entropy_ratio"
    unit = "ratio"
    direction = "none"
    perfect = 1.0
    from_top_k = "exact"
    needs_entropy = True

    def sums(self, at: Positions) -> "torch.Tensor":
        """Both entropies."""
        import torch

        return torch.stack([at.student_entropy, at.teacher_entropy], -1)

    def value(self, sums: "np.ndarray") -> "np.ndarray":
        """The student's over the teacher's."""
        return ratio(sums[..., 0], sums[..., 1])
