"""How much of its teacher's quality, and of its length, a student keeps.

Metric: the student's mean over the teacher's, as a ratio of sums over all pairs of responses:
        ROUGE-L and exact match against the task's references, and whitespace-separated words.
        1 is equal; above 1 the student has more. Not defined where the teacher's sum is 0.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from kdbench.metrics import Answer, PooledPairMetric, metrics
from kdbench.metrics.exact_match import ExactMatch
from kdbench.metrics.rouge import RougeL

if TYPE_CHECKING:
    import numpy as np


def ratio(over: "np.ndarray", under: "np.ndarray") -> "np.ndarray":
    """The quotient, NaN where `under` is 0."""
    import numpy as np

    quotient: np.ndarray = over / np.where(under == 0, np.nan, under)
    return quotient


class _Ratio(PooledPairMetric):
    unit = "ratio"
    perfect = 1.0

    def value(self, sums: "np.ndarray") -> "np.ndarray":
        """The student's over the teacher's."""
        return ratio(sums[..., 0], sums[..., 1])


class _Retained(_Ratio):
    direction = "higher"
    quality: ClassVar[type[RougeL | ExactMatch]]

    def __init__(self) -> None:
        self._quality = self.quality()

    def sums(self, student: Answer, teacher: Answer) -> Sequence[float]:
        """Both scores."""
        return [self._quality.score(student), self._quality.score(teacher)]


@metrics.register("rougeL_retained")
class RougeLRetained(_Retained):
    """The student's ROUGE-L over the teacher's."""

    name = "rougeL_retained"
    quality = RougeL


@metrics.register("exact_match_retained")
class ExactMatchRetained(_Retained):
    """The student's exact match over the teacher's."""

    name = "exact_match_retained"
    quality = ExactMatch


@metrics.register("accuracy_retained")
class AccuracyRetained(_Ratio):
    """The student's share of right final answers over the teacher's."""

    name = "accuracy_retained"
    direction = "higher"
    undefined = "not a task of closed answers, or the teacher has none right"

    def sums(self, student: Answer, teacher: Answer) -> Sequence[float]:
        """Which of the two are right; nothing for a free-form task."""
        return [float(bool(student.right)), float(bool(teacher.right))]


@metrics.register("length_ratio")
class LengthRatio(_Ratio):
    """The student's words over the teacher's."""

    name = "length_ratio"
    direction = "none"

    def sums(self, student: Answer, teacher: Answer) -> Sequence[float]:
        """Both numbers of words."""
        return [len(student.text.split()), len(teacher.text.split())]
