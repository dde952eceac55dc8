"""Whether the student's final answers are its teacher's, right or wrong.

Metric: each pair of final answers is one of five: both right (rr), only the teacher's (rw), only
        the student's (wr), both wrong and the same (wws), both wrong and different (wwd). Agreement
        is rr + wws: two right answers are the same answer. Its bounds are those that the two
        accuracies alone leave; `error_agreement` is wws / (wws + wwd); `error_kappa` is Cohen's
        kappa of being right, 0 where errors are independent. Wrong answers are the same if both
        are numbers within 0.001 of one another, else if equal by `exact_match`'s rules; no answer
        is the same as none. A pair not known to be right or wrong does not count. All are 0 to 1,
        kappa -1 to 1. Shares of negative and positive flips: `kdbench.metrics.flips`.
Source: Cohen 1960 (kappa). `normalise` would make -5 of 5 and 3.14 of 314: numbers go first.
"""

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from kdbench.metrics import Answer, PairMetric, PooledPairMetric, metrics
from kdbench.metrics.exact_match import normalise
from kdbench.metrics.retained import ratio

if TYPE_CHECKING:
    import numpy as np

Cell = Literal["rr", "rw", "wr", "wws", "wwd"]
_CELLS: tuple[Cell, ...] = ("rr", "rw", "wr", "wws", "wwd")
_TOLERANCE = 0.001
_MONEY = str.maketrans("", "", "$%,")

NO_ANSWERS = "not a task of closed answers, or none of these counts"


def same_answer(one: str | None, other: str | None) -> bool:
    """Whether two final answers, not both right, are the same."""
    if one is None or other is None or not one.strip():
        return False
    first, second = _number(one), _number(other)
    if first is not None and second is not None:
        return abs(first - second) <= _TOLERANCE
    words = normalise(one)
    return words == normalise(other) if words else one.strip() == other.strip()


def _number(text: str) -> float | None:
    try:
        number = float(text.translate(_MONEY))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def cell(student: Answer, teacher: Answer) -> Cell | None:
    """Which of the five the pair is, None if it is not known of both whether they are right."""
    if student.right is None or teacher.right is None:
        return None
    if teacher.right:
        return "rr" if student.right else "rw"
    if student.right:
        return "wr"
    return "wws" if same_answer(student.final, teacher.final) else "wwd"


class CellMetric(PairMetric):
    """Share of pairs that are in certain cells.

    Attributes:
        cells: those that count as 1.
    """

    unit = "rate"
    undefined = NO_ANSWERS
    cells: ClassVar[tuple[Cell, ...]]

    def score(self, student: Answer, teacher: Answer) -> float | None:
        """0 or 1, None where it is not known whether both are right."""
        found = cell(student, teacher)
        return None if found is None else float(found in self.cells)


class Shares(NamedTuple):
    """The cells' shares of all pairs, and what follows from them."""

    rr: "np.ndarray"
    rw: "np.ndarray"
    wr: "np.ndarray"
    wws: "np.ndarray"
    wwd: "np.ndarray"

    @property
    def teacher(self) -> "np.ndarray":
        """The teacher's accuracy."""
        accuracy: np.ndarray = self.rr + self.rw
        return accuracy

    @property
    def student(self) -> "np.ndarray":
        """The student's accuracy."""
        accuracy: np.ndarray = self.rr + self.wr
        return accuracy


class PooledCellMetric(PooledPairMetric):
    """A function of the cells' shares."""

    undefined = NO_ANSWERS

    def sums(self, student: Answer, teacher: Answer) -> Sequence[float]:
        """1 for the pair's cell, all 0 if it is in none."""
        found = cell(student, teacher)
        return [float(found == name) for name in _CELLS]

    def value(self, sums: "np.ndarray") -> "np.ndarray":
        """Of the cells' counts."""
        import numpy as np

        return self.of(Shares(*np.moveaxis(ratio(sums, sums.sum(-1, keepdims=True)), -1, 0)))

    @abstractmethod
    def of(self, share: Shares) -> "np.ndarray":
        """The number, NaN where it is not defined."""


@metrics.register("answer_agreement")
class AnswerAgreement(CellMetric):
    """Share of final answers that are the teacher's."""

    name = "answer_agreement"
    direction = "higher"
    cells = ("rr", "wws")


@metrics.register("answers_rr")
class BothRight(CellMetric):
    """Share of pairs where teacher and student are right."""

    name = "answers_rr"
    direction = "none"
    cells = ("rr",)


@metrics.register("answers_rw")
class OnlyTeacherRight(CellMetric):
    """Share of pairs where the teacher is right and the student wrong."""

    name = "answers_rw"
    direction = "none"
    cells = ("rw",)


@metrics.register("answers_wr")
class OnlyStudentRight(CellMetric):
    """Share of pairs where the teacher is wrong and the student right."""

    name = "answers_wr"
    direction = "none"
    cells = ("wr",)


@metrics.register("answers_wws")
class SameWrong(CellMetric):
    """Share of pairs with the same wrong answer."""

    name = "answers_wws"
    direction = "none"
    cells = ("wws",)


@metrics.register("answers_wwd")
class DifferentWrong(CellMetric):
    """Share of pairs with different wrong answers, or none."""

    name = "answers_wwd"
    direction = "none"
    cells = ("wwd",)


@metrics.register("teacher_accuracy")
class TeacherAccuracy(CellMetric):
    """Share of pairs where the teacher is right."""

    name = "teacher_accuracy"
    direction = "none"
    cells = ("rr", "rw")


@metrics.register("answer_accuracy")
class AnswerAccuracy(CellMetric):
    """Share of pairs where the student is right."""

    name = "answer_accuracy"
    direction = "higher"
    cells = ("rr", "wr")


@metrics.register("agreement_low")
class AgreementLow(PooledCellMetric):
    """The least agreement that the two accuracies allow."""

    name = "agreement_low"
    unit = "rate"
    direction = "none"

    def of(self, share: Shares) -> "np.ndarray":
        """Where as few as possible are both right."""
        least: np.ndarray = (share.teacher + share.student - 1).clip(min=0)
        return least


@metrics.register("agreement_high")
class AgreementHigh(PooledCellMetric):
    """The most agreement that the two accuracies allow."""

    name = "agreement_high"
    unit = "rate"
    direction = "none"

    def of(self, share: Shares) -> "np.ndarray":
        """Where the better one is right wherever the other is."""
        most: np.ndarray = 1 - abs(share.teacher - share.student)
        return most


@metrics.register("error_agreement")
class ErrorAgreement(PooledCellMetric):
    """Share of the same answer where both are wrong."""

    name = "error_agreement"
    unit = "rate"
    direction = "none"

    def of(self, share: Shares) -> "np.ndarray":
        """NaN where they are never both wrong."""
        return ratio(share.wws, share.wws + share.wwd)


@metrics.register("error_kappa")
class ErrorKappa(PooledCellMetric):
    """Cohen's kappa of being right: 0 is chance, given the two accuracies."""

    name = "error_kappa"
    unit = "correlation"
    direction = "none"

    def of(self, share: Shares) -> "np.ndarray":
        """NaN where both are always right, or always wrong."""
        alike = share.rr + share.wws + share.wwd
        chance = share.teacher * share.student + (1 - share.teacher) * (1 - share.student)
        return ratio(alike - chance, 1 - chance)
