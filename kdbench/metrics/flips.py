"""What replacing the teacher by the student breaks and mends: churn and flips.

Metric: of the cells of `kdbench.metrics.answers`, with the teacher as the old model: churn is the
        share of other answers (1 - agreement); negative flips rw, positive flips wr (the student's
        accuracy less the teacher's is positive less negative flips); relative negative flips are
        rw / (student's error rate × teacher's accuracy), 1 where errors are independent; trust
        compatibility is rr / (rr + rw), P(student right | teacher right).
Source: Milani Fard et al. 2016 (churn); Yan et al. 2021 (arXiv 2011.09161, negative flips);
        Bansal et al. 2019 (backward trust compatibility).
"""

from typing import TYPE_CHECKING

from kdbench.metrics import metrics
from kdbench.metrics.answers import CellMetric, PooledCellMetric, Shares
from kdbench.metrics.retained import ratio

if TYPE_CHECKING:
    import numpy as np


@metrics.register("answer_churn")
class AnswerChurn(CellMetric):
    """Share of final answers that are not the teacher's."""

    name = "answer_churn"
    direction = "lower"
    cells = ("rw", "wr", "wwd")


@metrics.register("negative_flips")
class NegativeFlips(CellMetric):
    """Share that the teacher has right and the student wrong: what is lost."""

    name = "negative_flips"
    direction = "lower"
    cells = ("rw",)


@metrics.register("positive_flips")
class PositiveFlips(CellMetric):
    """Share that the teacher has wrong and the student right: what is won."""

    name = "positive_flips"
    direction = "higher"
    cells = ("wr",)


@metrics.register("relative_negative_flips")
class RelativeNegativeFlips(PooledCellMetric):
    """Negative flips over those that independent errors would make."""

    name = "relative_negative_flips"
    unit = "ratio"
    direction = "lower"

    def of(self, share: Shares) -> "np.ndarray":
        """NaN where the student is always right or the teacher never."""
        wrong = share.rw + share.wws + share.wwd
        return ratio(share.rw, wrong * share.teacher)


@metrics.register("trust_compatibility")
class TrustCompatibility(PooledCellMetric):
    """Share that the student has right of what the teacher has right."""

    name = "trust_compatibility"
    unit = "rate"
    direction = "higher"

    def of(self, share: Shares) -> "np.ndarray":
        """NaN where the teacher is never right."""
        return ratio(share.rr, share.teacher)
