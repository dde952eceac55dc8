"""The student's quality and length as a ratio to the teacher's.

Metric: the student's mean / the teacher's, as a ratio of sums over all pairs of responses: of
        ROUGE-L and exact match against the task's references, of right final answers, and of
        whitespace-separated words. At 1 the two are equal; above 1 the student has more. Not
        defined if the teacher's sum is 0.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from kdbench.metrics import Answer, PooledPairMetric, metrics
from kdbench.metrics.exact_match import ExactMatch
from kdbench.metrics.rouge import RougeL

if TYPE_CHECKING:
    import numpy as np


def ratio(numerator: "np.ndarray", denominator: "np.ndarray") -> "np.ndarray":
    """Divide; NaN where the denominator is 0."""
    import numpy as np

    quotient: np.ndarray = numerator / np.where(denominator == 0, np.nan, denominator)
    return quotient


class _Ratio(PooledPairMetric):
    by_default = False
    unit = "ratio"
    perfect = 1.0

    def value(self, sums: "np.ndarray") -> "np.ndarray":
        """Compute the ratio of the two sums."""
        return ratio(sums[..., 0], sums[..., 1])


class _Retained(_Ratio):
    direction = "higher"
    needs_reference = True
    quality: ClassVar[type[RougeL | ExactMatch]]

    def __init__(self) -> None:
        self._quality = self.quality()

    def sums(self, student: Answer, teacher: Answer) -> Sequence[float]:
        """Return the scores of both responses."""
        return [self._quality.score(student), self._quality.score(teacher)]


@metrics.register("rougeL_retained")
class RougeLRetained(_Retained):
    """The student's ROUGE-L divided by the teacher's."""

    name = "rougeL_retained"
    quality = RougeL


@metrics.register("exact_match_retained")
class ExactMatchRetained(_Retained):
    """The student's exact match divided by the teacher's."""

    name = "exact_match_retained"
    quality = ExactMatch


@metrics.register("accuracy_retained")
class AccuracyRetained(_Ratio):
    """The student's share of right final answers divided by the teacher's."""

    compares = "answers"
    name = "accuracy_retained"
    direction = "higher"
    needs_reference = True
    undefined = "not a task of closed answers, or the teacher has none right"

    def sums(self, student: Answer, teacher: Answer) -> Sequence[float]:
        """Return which of the two are right; zeros for a free-form task."""
        return [float(bool(student.right)), float(bool(teacher.right))]


@metrics.register("length_ratio")
class LengthRatio(_Ratio):
    """The student's number of words divided by the teacher's."""

    name = "length_ratio"
    direction = "none"

    def sums(self, student: Answer, teacher: Answer) -> Sequence[float]:
        """Return the numbers of words of both responses."""
        return [len(student.text.split()), len(teacher.text.split())]
