"""What a method does, and what follows for the claim."""

import pytest

from kdbench.analyses.answered.kinds import (
    LOSES,
    MORE,
    NONE,
    OPEN,
    WITHOUT,
    AnswerChange,
    kind_of,
    verdict_of,
)
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
