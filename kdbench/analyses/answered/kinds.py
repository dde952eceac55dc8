"""What a method does to accuracy and to agreement with its teacher, and whether the claim holds."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from kdbench.analyses.answered.measures import AnswerMeasures
from kdbench.analyses.core.against import Difference

AnswerKind = Literal[
    "gains, agrees more",
    "gains without agreeing more",
    "gains, agreement open",
    "no gain seen",
    "loses",
]
KINDS: tuple[AnswerKind, ...] = get_args(AnswerKind)
"""Kinds of methods, by what is found at 5 % with Holm's correction."""
MORE, WITHOUT, OPEN, NONE, LOSES = KINDS

MARGIN = 0.5
"""Agreement that is shown to rise by less than this share of the gain in accuracy counts as none.

With a share of 1, the claim would be confirmed where agreement truly rises by half of the gain: of
a dozen such methods, some have a gain that is seen and a rise that is not.
"""

ClaimVerdict = Literal["confirmed", "refuted", "not settled"]


@dataclass(frozen=True)
class AnswerChange:
    """A method against the undistilled student.

    Attributes:
        label: The method.
        row: Its place among the table's rows.
        gain: Change of accuracy.
        agreement: Change of agreement with the teacher.
        kappa: Change of Cohen's kappa of being right; None if it is not defined.
        kind: What follows.
    """

    label: str
    row: int
    gain: Difference
    agreement: Difference
    kappa: Difference | None
    kind: AnswerKind


def answer_changes(measures: AnswerMeasures) -> list[AnswerChange]:
    """All methods against the undistilled student, those that gain most first."""
    gains, agreements = (measures.changes(of) for of in (measures.accuracies, measures.agreements))
    beyond = measures.changes(MARGIN * measures.accuracies - measures.agreements)
    kappas = measures.changes(measures.kappa)
    found = [
        AnswerChange(
            label,
            row,
            gains[label],
            agreements[label],
            kappas.get(label),
            kind_of(gains[label], agreements[label], beyond[label]),
        )
        for row, label in enumerate(measures.table.labels)
        if row
    ]
    return sorted(found, key=lambda change: -change.gain.found.value)


def kind_of(gain: Difference, agreement: Difference, beyond: Difference) -> AnswerKind:
    """What a method does.

    Args:
        gain: Its change of accuracy.
        agreement: Its change of agreement with the teacher.
        beyond: `MARGIN` times the first, minus the second.
    """
    if gain.direction <= 0:
        return LOSES if gain.direction else NONE
    if agreement.direction > 0:
        return MORE
    return WITHOUT if beyond.direction > 0 else OPEN


def verdict_of(changes: Sequence[AnswerChange]) -> ClaimVerdict:
    """Whether the claim, that students gain without agreeing more, is seen."""
    counts = counted_kinds(changes)
    if counts[WITHOUT]:
        return "confirmed"
    return "refuted" if counts[MORE] and not counts[OPEN] else "not settled"


def counted_kinds(changes: Sequence[AnswerChange]) -> Mapping[str, int]:
    """How many methods are of each kind; 0 for those that none is of."""
    return Counter(change.kind for change in changes)
