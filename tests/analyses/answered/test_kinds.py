"""What a method does, and what follows for the claim."""

import numpy as np
import pytest

from kdbench.analyses.answered.kinds import (
    LOSES,
    MORE,
    NONE,
    OPEN,
    WITHOUT,
    AnswerChange,
    answer_changes,
    kind_of,
    verdict_of,
)
from kdbench.analyses.answered.measures import AnswerMeasures
from kdbench.analyses.answered.read import AnsweredTable
from kdbench.analyses.core.against import Difference
from kdbench.stats.over_seeds import SeedMean


def difference(direction: int) -> Difference:
    value = 0.1 * direction
    return Difference(
        SeedMean(value, value - 0.05, value + 0.05, 0.5, (1, 2)), 0.01 if value else 1
    )


@pytest.mark.parametrize(
    ("gain", "agreement", "beyond", "kind"),
    [
        (1, 1, 0, MORE),
        (1, 1, 1, MORE),
        (1, 0, 1, WITHOUT),
        (1, -1, 1, WITHOUT),
        (1, 0, 0, OPEN),
        (0, 1, 0, NONE),
        (-1, 1, -1, LOSES),
    ],
)
def test_kinds(gain: int, agreement: int, beyond: int, kind: str) -> None:
    assert kind_of(*map(difference, (gain, agreement, beyond))) == kind


@pytest.mark.parametrize(
    ("kinds", "verdict"),
    [
        ([], "not settled"),
        ([NONE, LOSES], "not settled"),
        ([MORE, NONE], "refuted"),
        ([MORE, OPEN], "not settled"),
        ([OPEN], "not settled"),
        ([WITHOUT, MORE, OPEN], "confirmed"),
    ],
)
def test_verdicts(kinds: list, verdict: str) -> None:
    none = difference(0)
    changes = [AnswerChange("a", 1, none, none, None, kind) for kind in kinds]
    assert verdict_of(changes) == verdict


def test_agreement_that_truly_rises_by_half_of_the_gain_does_not_confirm_the_claim() -> None:
    """Of ten methods that all agree more, hardly ever one is said not to."""
    rng = np.random.default_rng(1)
    confirmed = 0
    for _ in range(100):
        noise = rng.normal(0, 0.01, (2, 11, 5))  # of both right and of only the student right
        cells = np.zeros((11, 5, 1, 5)) + np.array([0.4, 0.1, 0.1, 0.2, 0.2])
        moved = noise + 0.025 * (np.arange(11) > 0)[:, None]
        cells[..., 0, 0] += moved[0]
        cells[..., 0, 3] -= moved[0]
        cells[..., 0, 2] += moved[1]
        cells[..., 0, 4] -= moved[1]
        labels = tuple(f"row {row}" for row in range(11))
        none = np.zeros((11, 5, 0))
        table = AnsweredTable(labels, tuple(range(5)), ("sums",), cells, none, {})
        confirmed += verdict_of(answer_changes(AnswerMeasures(table))) == "confirmed"
    assert confirmed <= 10  # 5 at most expected; with a margin of 1 it is far more often
