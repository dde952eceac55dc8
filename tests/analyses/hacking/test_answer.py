"""Verdicts on curves made by hand."""

import pytest

from kdbench.analyses import analyses
from kdbench.analyses.hacking.answer import SourceCurves, answer

TURNS = {0: 2.0, 10: 1.0, 20: 1.5}
FALLS = {0: 2.0, 10: 1.0, 20: 0.5}
FLAT = {0: 2.0, 10: 1.0, 20: 1.0}


def of_seeds(curve, seeds=(10, 11, 12), noise=0.01):
    """The curve for each seed, a little different."""
    return {seed: {s: v + noise * (seed - 11) * s / 20 for s, v in curve.items()} for seed in seeds}


class Logs:
    """Curves in place of training logs."""

    def __init__(self, found):
        self.found = found

    def curves(self, label, name):
        gold, proxy = self.found[label]
        curve = gold if name == "eval_kl_oracle" else proxy
        return of_seeds(curve, noise=0.01 if label == "fixed" else 0.012)


@pytest.mark.parametrize(
    ("gold", "proxy", "verdict"),
    [
        (TURNS, FALLS, "hacking"),
        (TURNS, TURNS, "both rise"),
        (TURNS, FLAT, "gold rises"),
        (FALLS, FALLS, "no rise"),
        (FLAT, FALLS, "no rise"),
    ],
)
def test_the_verdict_is_that_of_both_curves_after_the_turning_point(gold, proxy, verdict):
    curves = SourceCurves("fixed", of_seeds(gold), of_seeds(proxy))
    assert curves.verdict == verdict


def test_one_seed_has_no_verdict():
    one = SourceCurves("fixed", of_seeds(TURNS, (10,)), of_seeds(FALLS, (10,)))
    assert one.verdict == "too few seeds"


def concluded(fixed, fresh):
    analysis = analyses.get("teacher_hacking")()
    logs = Logs({"fixed": fixed, "fresh": fresh})
    return answer(analysis, logs, ("fixed", "fresh"), "fixed")


def test_a_reproduction_is_said_with_its_numbers():
    found = concluded((TURNS, FALLS), (FALLS, FALLS))
    first, second = found.sentences
    assert first.startswith("Teacher hacking is reproduced: on fixed responses")
    assert "(gold +0.5000 [" in first
    assert "proxy -0.5000 [" in first
    assert second == (
        "The distance to the oracle rises significantly less with fresh than on fixed responses; "
        "at the end it is significantly smaller with fresh than on fixed responses."
    )


@pytest.mark.parametrize(
    ("proxy", "words"), [(TURNS, "as in plain overfitting"), (FLAT, "does not fall significantly")]
)
def test_what_is_no_hacking_is_said_to_be_none(proxy, words):
    first, second = concluded((TURNS, proxy), (TURNS, proxy)).sentences
    assert first.startswith("Teacher hacking is not reproduced")
    assert words in first
    assert second.startswith("The distance to the oracle rises neither less nor more significantly")


def test_tables_and_panels_hold_the_curves():
    found = concluded((TURNS, FALLS), (FALLS, FALLS))
    ends, rises = found.tables
    assert [row[0] for row in ends.rows] == ["fixed", "fresh"]
    assert ends.rows[0][2].value == pytest.approx(1.0)  # the lowest mean, at step 10
    assert ends.rows[0][3].value == 10
    assert rises.rows[0][1] == "hacking"
    assert rises.rows[1][4].value < 0  # less than on fixed responses
    assert rises.rows[1][5].value == pytest.approx(-1)
    gold, proxy, both = found.panels
    assert gold.curves[0].x == (0, 10, 20)
    assert both.curves[0].x == proxy.curves[0].y
