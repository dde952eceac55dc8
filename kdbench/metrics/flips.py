"""Backward compatibility of the student, with the teacher as the model it replaces.

Metric: from the cells of `kdbench.metrics.answers`. Relative negative flips are
        rw / (student's error rate × teacher's accuracy), 1 if errors are independent. Trust
        compatibility is rr / (rr + rw) = P(student right | teacher right). The rates of negative
        and positive flips are the cells `answers_rw` and `answers_wr`.
Source: Yan et al. 2021 (arXiv 2011.09161, negative flips); Bansal et al. 2019 (backward trust
        compatibility).
"""

from typing import TYPE_CHECKING

from kdbench.metrics import metrics
from kdbench.metrics.answers import PooledCellMetric, Shares
from kdbench.metrics.retained import ratio

if TYPE_CHECKING:
    import numpy as np


@metrics.register("relative_negative_flips")
class RelativeNegativeFlips(PooledCellMetric):
    """Negative flips divided by those that independent errors would make."""

    by_default = False
    name = "relative_negative_flips"
    unit = "ratio"
    direction = "lower"

    def of(self, share: Shares) -> "np.ndarray":
        """NaN if the student is always right or the teacher never."""
        wrong = share.rw + share.wws + share.wwd
        return ratio(share.rw, wrong * share.teacher)


@metrics.register("trust_compatibility")
class TrustCompatibility(PooledCellMetric):
    """Share of the teacher's right answers that the student also gets right."""

    by_default = False
    name = "trust_compatibility"
    unit = "rate"
    direction = "higher"

    def of(self, share: Shares) -> "np.ndarray":
        """NaN if the teacher is never right."""
        return ratio(share.rr, share.teacher)
