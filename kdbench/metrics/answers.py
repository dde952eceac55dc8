"""Agreement of the student's final answers with its teacher's.

Metric: each pair of final answers falls into one of five cells: both right (rr), only the teacher
        right (rw), only the student right (wr), both wrong with the same answer (wws), both wrong
        with different answers (wwd). Agreement is rr + wws: two right answers count as the same.
        Its bounds are what the two accuracies allow; `error_agreement` is wws / (wws + wwd);
        `error_kappa` is Cohen's kappa of being right, 0 if errors are independent. Two wrong
        answers are the same if both are numbers within 0.001 of each other, or else if they are
        equal by `exact_match`'s rules; a missing answer agrees with nothing. A pair does not count
        unless both are known to be right or wrong. All are 0 to 1, kappa is -1 to 1. With the
        teacher as the old model, rw is the rate of negative flips, wr that of positive flips, and
        1 - agreement is churn; see `kdbench.metrics.flips` for what follows from them.
        `answers_mcnemar` is the two-sided p-value of McNemar's exact test that rw and wr are
        equally likely, of each seed; the mean of several seeds' p-values is not a p-value.
Source: Cohen 1960 (kappa); McNemar 1947; Yan et al. 2021 (arXiv 2011.09161, flips);
        Milani Fard et al. 2016 (churn).
"""

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, get_args

from kdbench.metrics import Answer, CorpusPairMetric, PairMetric, PooledPairMetric, metrics
from kdbench.metrics.exact_match import normalise
from kdbench.metrics.retained import ratio

if TYPE_CHECKING:
    import numpy as np

AnswerCell = Literal["rr", "rw", "wr", "wws", "wwd"]
_CELLS: tuple[AnswerCell, ...] = get_args(AnswerCell)
_TOLERANCE = 0.001
_MONEY = str.maketrans("", "", "$%,")

NO_ANSWERS = "not a task of closed answers, or none of these counts"


def same_answer(student: str | None, teacher: str | None) -> bool:
    """Whether two final answers that are not both right are the same."""
    if student is None or teacher is None or not student.strip():
        return False
    # Numbers first: `normalise` would turn -5 into 5 and 3.14 into 314.
    numbers = _number(student), _number(teacher)
    if numbers[0] is not None and numbers[1] is not None:
        return abs(numbers[0] - numbers[1]) <= _TOLERANCE
    normalised = normalise(student)
    if not normalised:
        return student.strip() == teacher.strip()
    return normalised == normalise(teacher)


def _number(text: str) -> float | None:
    try:
        number = float(text.translate(_MONEY))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def cell_of(student: Answer, teacher: Answer) -> AnswerCell | None:
    """Return the cell of a pair; None unless both are known to be right or wrong."""
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
        cells: Cells that count as 1.
    """

    unit = "rate"
    compares = "answers"
    undefined = NO_ANSWERS
    needs_reference = True
    cells: ClassVar[tuple[AnswerCell, ...]]

    def score(self, student: Answer, teacher: Answer) -> float | None:
        """Return 0 or 1; None unless both answers are known to be right or wrong."""
        cell = cell_of(student, teacher)
        return None if cell is None else float(cell in self.cells)


class Shares(NamedTuple):
    """Each cell's share of all pairs, and the accuracies that follow."""

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
    """A number from the cells' shares."""

    compares = "answers"
    undefined = NO_ANSWERS
    needs_reference = True

    def sums(self, student: Answer, teacher: Answer) -> Sequence[float]:
        """Return 1 for the pair's cell and 0 for the others; all 0 if the pair does not count."""
        cell = cell_of(student, teacher)
        return [float(cell == name) for name in _CELLS]

    def value(self, sums: "np.ndarray") -> "np.ndarray":
        """Compute the number from the cells' counts."""
        import numpy as np

        return self.of(Shares(*np.moveaxis(ratio(sums, sums.sum(-1, keepdims=True)), -1, 0)))

    @abstractmethod
    def of(self, share: Shares) -> "np.ndarray":
        """Compute the number; NaN if it is not defined."""


@metrics.register("answer_agreement")
class AnswerAgreement(CellMetric):
    """Share of pairs with the same final answer."""

    name = "answer_agreement"
    direction = "higher"
    cells = ("rr", "wws")


@metrics.register("answers_rr")
class BothRight(CellMetric):
    """Share of pairs where both final answers are right."""

    name = "answers_rr"
    direction = "none"
    cells = ("rr",)


@metrics.register("answers_rw")
class OnlyTeacherRight(CellMetric):
    """Share of pairs where only the teacher is right (negative flips)."""

    name = "answers_rw"
    direction = "none"
    cells = ("rw",)


@metrics.register("answers_wr")
class OnlyStudentRight(CellMetric):
    """Share of pairs where only the student is right (positive flips)."""

    name = "answers_wr"
    direction = "none"
    cells = ("wr",)


@metrics.register("answers_wws")
class SameWrong(CellMetric):
    """Share of pairs where both are wrong with the same answer."""

    name = "answers_wws"
    direction = "none"
    cells = ("wws",)


@metrics.register("answers_wwd")
class DifferentWrong(CellMetric):
    """Share of pairs where both are wrong with different or missing answers."""

    name = "answers_wwd"
    direction = "none"
    cells = ("wwd",)


@metrics.register("teacher_accuracy")
class TeacherAccuracy(CellMetric):
    """Share of the teacher's final answers that are right."""

    name = "teacher_accuracy"
    direction = "none"
    cells = ("rr", "rw")


@metrics.register("answer_accuracy")
class AnswerAccuracy(CellMetric):
    """Share of the student's final answers that are right."""

    name = "answer_accuracy"
    direction = "higher"
    cells = ("rr", "wr")


@metrics.register("agreement_low")
class AgreementLow(PooledCellMetric):
    """Lowest answer agreement that the two accuracies allow."""

    by_default = False
    name = "agreement_low"
    unit = "rate"
    direction = "none"

    def of(self, share: Shares) -> "np.ndarray":
        """As few pairs as possible are both right."""
        least: np.ndarray = (share.teacher + share.student - 1).clip(min=0)
        return least


@metrics.register("agreement_high")
class AgreementHigh(PooledCellMetric):
    """Highest answer agreement that the two accuracies allow."""

    by_default = False
    name = "agreement_high"
    unit = "rate"
    direction = "none"

    def of(self, share: Shares) -> "np.ndarray":
        """The better model is right wherever the other one is."""
        most: np.ndarray = 1 - abs(share.teacher - share.student)
        return most


@metrics.register("error_agreement")
class ErrorAgreement(PooledCellMetric):
    """Share of pairs with the same answer among those where both are wrong."""

    name = "error_agreement"
    unit = "rate"
    direction = "none"

    def of(self, share: Shares) -> "np.ndarray":
        """NaN if the two are never both wrong."""
        return ratio(share.wws, share.wws + share.wwd)


@metrics.register("error_kappa")
class ErrorKappa(PooledCellMetric):
    """Cohen's kappa of being right; 0 if errors are independent."""

    name = "error_kappa"
    unit = "correlation"
    direction = "none"

    def of(self, share: Shares) -> "np.ndarray":
        """NaN if both are always right or always wrong."""
        alike = share.rr + share.wws + share.wwd
        chance = share.teacher * share.student + (1 - share.teacher) * (1 - share.student)
        return ratio(alike - chance, 1 - chance)


@metrics.register("answers_mcnemar")
class AnswersMcNemar(CorpusPairMetric):
    """P-value of McNemar's exact test that student and teacher are equally often right."""

    needs_reference = True
    compares = "answers"
    by_default = False
    name = "answers_mcnemar"
    unit = "p-value"
    direction = "none"
    undefined = NO_ANSWERS

    def value(self, student: Sequence[Answer], teacher: Sequence[Answer]) -> float | None:
        """Return the p-value, 1 if no pair differs; None if no pair counts."""
        import numpy as np

        from kdbench.stats.paired import equal_sizes_p

        cells = [cell for pair in zip(student, teacher, strict=True) if (cell := cell_of(*pair))]
        if not cells:
            return None
        return equal_sizes_p(np.array([(cell == "wr") - (cell == "rw") for cell in cells], float))
