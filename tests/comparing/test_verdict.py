"""Verdicts, decisions and exit codes."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdbench.comparing.verdict import (
    VERDICTS,
    Problem,
    Rules,
    Verdict,
    decide,
    fails,
    is_undecided,
    judge,
)


@dataclass(frozen=True)
class Row:
    verdict: Verdict
    within: bool = False
    shortfall: str = "sees 2 and needs 9"


@pytest.mark.parametrize(
    ("gain", "low", "p", "p_beyond", "tolerance", "wanted"),
    [
        (-3.0, -4.0, 0.001, 0.01, 0.5, "regressed"),
        (-3.0, -4.0, 0.001, 0.05, 0.5, "regressed"),
        (-3.0, -4.0, 0.001, 0.06, 0.5, "worse"),  # surely worse, not surely by more than 0.5
        (-0.3, -0.4, 0.001, 1.0, 0.5, "worse"),
        (-0.3, -0.4, 0.06, 1.0, 0.5, "unchanged"),
        (-0.3, -0.6, 0.06, 1.0, 0.5, "inconclusive"),
        (0.3, -0.6, 0.06, 1.0, 0.5, "inconclusive"),
        (0.3, 0.1, 0.05, 1.0, 0.5, "improved"),
        (0.0, 0.0, 1.0, 1.0, 0.0, "unchanged"),  # the same scores, no tolerance
        (-0.1, -0.2, 0.01, 0.01, 0.0, "regressed"),
    ],
)
def test_verdicts(
    gain: float, low: float, p: float, p_beyond: float, tolerance: float, wanted: str
) -> None:
    verdict = judge(gain=gain, low=low, p=p, p_beyond=p_beyond, tolerance=tolerance, alpha=0.05)
    assert verdict == wanted


@pytest.mark.parametrize(
    ("rows", "plain", "strict", "conclusive"),
    [
        ([Row("unchanged", True), Row("improved", True)], 0, 0, 0),
        ([Row("unchanged", True), Row("regressed")], 1, 1, 1),
        ([Row("worse", True)], 0, 1, 0),
        ([Row("worse", False)], 0, 1, 1),  # not shown to be within its tolerance either
        ([Row("inconclusive")], 0, 0, 1),
    ],
)
def test_exit_codes(rows: list[Row], plain: int, strict: int, conclusive: int) -> None:
    for rules, code in (
        (Rules(), plain),
        (Rules(strict=True), strict),
        (Rules(require_conclusive=True), conclusive),
    ):
        decision = decide(rows, [], rules)
        assert decision.code == code
        undecided = any(is_undecided(row) for row in rows)
        assert decision.word == ("FAIL" if code else "NOT DECIDED" if undecided else "PASS")
        assert str(decision).startswith(decision.word)


@pytest.mark.parametrize("row", [Row("inconclusive"), Row("worse", False)])
def test_a_gate_that_could_not_see_its_tolerance_never_says_pass(row: Row) -> None:
    rows = [row, Row("unchanged", True), row, row, row]
    decision = decide(rows, [], Rules())
    assert decision.code == 0
    shown = "; ".join(["sees 2 and needs 9"] * 3)
    counts = f"4 {row.verdict}, 1 unchanged"
    assert str(decision) == f"NOT DECIDED (passes): 4 of 5 rows ({counts}): {shown}; and 1 more"
    assert decide([row, Row("regressed")], [], Rules()).word == "FAIL"
    assert decide(rows, [], Rules(require_conclusive=True)).word == "FAIL"
    assert decide([Row("worse", True)], [], Rules()).word == "PASS"


def test_problems_go_first_and_an_incomplete_run_before_an_incomparable_one() -> None:
    two, three = Problem(2, "seeds differ"), Problem(3, "run failed")
    assert decide([Row("regressed")], [two], Rules()).code == 2
    assert decide([], [two, three], Rules()).code == 3
    assert decide([], [], Rules()).code == 2
    assert decide([], [two], Rules()).sentence == "seeds differ"


@given(st.lists(st.builds(Row, st.sampled_from(VERDICTS), st.booleans()), min_size=1), st.data())
def test_stricter_rules_never_pass_what_failed(rows: list[Row], data: st.DataObject) -> None:
    strict, conclusive = data.draw(st.booleans()), data.draw(st.booleans())
    code = decide(rows, [], Rules(strict=strict, require_conclusive=conclusive)).code
    assert decide(rows, [], Rules()).code <= code
    assert decide(rows, [], Rules(strict=True, require_conclusive=True)).code >= code
    assert code == any(fails(r, Rules(strict=strict, require_conclusive=conclusive)) for r in rows)
