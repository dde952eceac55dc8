"""Exposure bias, on students made by hand."""

import pytest

from kdbench.analyses import analyses
from kdbench.analyses.exposure_bias import correlation_over_seeds
from kdbench.errors import InputError
from tests.analyses.seeded.rows import filled, row, task

GIVEN, OWN = ("sft", "kd", "seqkd", "GKD given prefixes"), ("GKD own prefixes", "opd", "minillm")


def curves(own, teachers):
    """Three token indices, of which few responses reach the last."""

    def of(values):
        return {"start": [0, 1, 2], "stop": [1, 2, 3], "value": values, "n": [50, 40, 3]}

    return {"fkl@student": of(own), "fkl@teacher": of(teachers), "exposure_error": of(own)}


def students(error_of, score_of=lambda label, seed: 50.0 + seed):
    rows = []
    for label in (*GIVEN, *OWN):
        for seed in (1, 2, 3):
            metrics = {
                "exposure_error": error_of(label, seed),
                "fkl@student": 0.3,
                "fkl@teacher": 0.25,
                "rougeL": score_of(label, seed),
            }
            whole = curves([0.1, 0.4, 9.0], [0.1, 0.2, 1.0])
            rows.append(row(label, seed, [task("vicuna", metrics, whole)]))
    return filled(*rows)


def answer(rows):
    return analyses.get("exposure_bias")().answer(rows)


def error(label, seed, less=0.0):
    return 10.0 + seed + 0.1 * (seed == 2) * (label in OWN) - less * (label in OWN)


def test_less_error_on_own_prefixes_is_seen_paired_by_seed():
    found = answer(students(lambda label, seed: error(label, seed, 5.0)))
    assert found.sentences[0].startswith(
        "The excess error is lower with training on own samples: -5.0 percentage points ["
    )
    (_, overall), (name, clean) = found.tables[1].rows
    assert name == "GKD own prefixes - GKD given prefixes, one loss"
    # Differences -5, -4.9, -5: mean -4.9667, standard error .03333, t of two degrees 4.302653.
    assert overall.value == clean.value == pytest.approx(-4.966667)
    assert overall.low == pytest.approx(-4.966667 - 4.302653 / 30, abs=1e-5)
    assert overall.p == pytest.approx(2 * 4.5e-5, rel=0.02)  # Holm's, of two


def test_no_difference_is_said_to_be_none():
    found = answer(students(error))
    assert "shows no difference between training on own samples and" in found.sentences[0]
    assert found.sentences[0].endswith("no difference seen.")
    assert "no relation" in found.sentences[1] or "not defined" in found.sentences[1]


def test_less_error_is_claimed_by_the_corrected_p_value():
    # Differences of -3, -5 and -7 in both comparisons: p .0494 alone, .0988 by Holm's method.
    found = answer(students(lambda label, seed: 20.0 - (label in OWN) * (1 + 2 * seed)))
    assert found.tables[1].rows[0][1].p == pytest.approx(0.0988, abs=5e-4)
    assert "shows no difference" in found.sentences[0]
    assert found.sentences[0].endswith("no difference seen.")


def test_more_error_on_own_prefixes_is_said():
    found = answer(students(lambda label, seed: error(label, seed, -5.0)))
    assert "is higher with training on own samples" in found.sentences[0]


def test_the_relation_to_the_score_is_by_rank_in_each_seed():
    rows = {"a": {1: 1.0, 2: 1.0}, "b": {1: 2.0, 2: 2.0}, "c": {1: 3.0, 2: 3.0}}
    scores = {"a": {1: 9.0, 2: 9.0}, "b": {1: 8.0, 2: 7.0}, "c": {1: 1.0, 2: 8.0}}
    found = correlation_over_seeds(rows, scores)
    assert found.value == pytest.approx((-1 - 1 / 3) / 2)
    assert correlation_over_seeds(rows, {key: {1: 1.0, 2: 1.0} for key in rows}) is None


def test_curves_leave_out_what_few_responses_reach():
    accumulated, gap, points = answer(students(error)).panels
    assert accumulated.curves[0].x == (1, 2)
    assert gap.curves[0].x == (1, 2)
    assert gap.curves[0].y == pytest.approx((0.0, 0.2))
    assert len(points.curves) == 7


def test_a_method_stands_on_one_side():
    with pytest.raises(InputError, match="on_policy=kd: is in off_policy= too"):
        analyses.get("exposure_bias")(on_policy=("kd",)).table(None)
