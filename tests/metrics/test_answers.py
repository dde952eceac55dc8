"""Agreement of final answers, its five cells, and the error and flip metrics made from them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdbench.metrics import Answer, PooledPairMetric, metrics
from kdbench.metrics.answers import cell_of, same_answer


def answer(final, right):
    return Answer("-", ("-",), final=final, right=right)


# Student, then teacher.
RR = answer("4", True), answer("4.0", True)
RW = answer("5", False), answer("4", True)
WR = answer("4", True), answer("5", False)
SAME = answer("7.", False), answer("7", False)
DIFFERENT = answer("7", False), answer("8", False)
UNKNOWN = answer("7", None), answer("7", False)
TEN = [RR] * 5 + [RW, WR, SAME] + [DIFFERENT] * 2

RATES = {
    "answer_agreement": "higher",
    "answers_rr": "none",
    "answers_rw": "none",
    "answers_wr": "none",
    "answers_wws": "none",
    "answers_wwd": "none",
    "teacher_accuracy": "none",
    "answer_accuracy": "higher",
}
POOLED = {
    "agreement_low": ("rate", "none"),
    "agreement_high": ("rate", "none"),
    "error_agreement": ("rate", "none"),
    "error_kappa": ("correlation", "none"),
    "relative_negative_flips": ("ratio", "lower"),
    "trust_compatibility": ("rate", "higher"),
}
_FINALS = st.sampled_from([None, "", "1", "1.0", "2", "-1", "a", "A.", "$2"])
_PAIRS = st.lists(
    st.tuples(*[st.builds(answer, _FINALS, st.booleans())] * 2), min_size=1, max_size=12
)


def value(name, pairs):
    metric = metrics.get(name)()
    if isinstance(metric, PooledPairMetric):
        return float(metric.value(np.array([metric.sums(*pair) for pair in pairs]).sum(0)))
    scores = [metric.score(*pair) for pair in pairs]
    known = [score for score in scores if score is not None]
    return sum(known) / len(known) if known else None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("answers_rr", 0.5),
        ("answers_rw", 0.1),
        ("answers_wr", 0.1),
        ("answers_wws", 0.1),
        ("answers_wwd", 0.2),
        ("teacher_accuracy", 0.6),
        ("answer_accuracy", 0.6),
        ("answer_agreement", 0.6),
        ("agreement_low", 0.2),
        ("agreement_high", 1.0),
        ("error_agreement", 1 / 3),
        ("error_kappa", (0.8 - 0.52) / (1 - 0.52)),
        ("relative_negative_flips", 0.1 / (0.4 * 0.6)),
        ("trust_compatibility", 5 / 6),
    ],
)
def test_ten_pairs_worked_out_by_hand(name, expected):
    assert value(name, TEN) == pytest.approx(expected, abs=1e-12)
    assert value(name, [*TEN, UNKNOWN, UNKNOWN[::-1]]) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("teacher_accuracy", 0.75),
        ("answer_accuracy", 0.5),
        ("agreement_low", 0.25),
        ("agreement_high", 0.75),
        ("answers_rw", 0.5),
        ("answers_wr", 0.25),
        ("relative_negative_flips", 0.5 / (0.5 * 0.75)),
        ("trust_compatibility", 1 / 3),
    ],
)
def test_student_and_teacher_are_not_swapped(name, expected):
    assert value(name, [RR, RW, RW, WR]) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("first", "other", "same"),
    [
        ("Paris", "paris.", True),
        ("Paris", "Rome", False),
        ("7", "7.0", True),
        ("7", "7.0009", True),
        ("7", "7.002", False),
        ("1,000", "1000.0", True),
        ("$12", "12.0", True),
        ("-$12", "12", False),
        ("12%", "12.0", True),
        ("1e3", "1000", True),
        ("-5", "5", False),  # they are equal only without punctuation
        ("3.14", "314", False),
        ("3.14", "31.4", False),
        ("5 apples", "5 apples!", True),
        ("5 apples", "5", False),
        ("inf", "Inf.", True),
        ("nan", "nan", True),
        ("+", "+ ", True),
        ("+", "-", False),
        ("+", "", False),
        ("", "", False),
        (" ", "", False),
        (None, None, False),
        (None, "7", False),
        (None, "None", False),
    ],
)
def test_when_two_wrong_answers_are_the_same(first, other, same):
    assert same_answer(first, other) is same_answer(other, first) is same
    expected = "wws" if same else "wwd"
    assert cell_of(answer(first, False), answer(other, False)) == expected


def test_two_right_answers_agree_however_written():
    pair = answer("one half", True), answer("0.5", True)
    assert cell_of(*pair) == "rr"
    assert value("answer_agreement", [pair]) == 1


def test_the_same_answer_judged_differently_is_a_flip():
    assert cell_of(answer("7", False), answer("7", True)) == "rw"


@pytest.mark.parametrize("pair", [UNKNOWN, UNKNOWN[::-1], (answer("7", None),) * 2])
def test_pairs_without_a_verdict_are_not_counted(pair):
    assert cell_of(*pair) is None
    assert all(metrics.get(name)().score(*pair) is None for name in RATES)
    assert all(metrics.get(name)().sums(*pair) == [0.0] * 5 for name in POOLED)


@pytest.mark.parametrize("name", POOLED)
def test_without_counted_pairs_the_value_is_null(name):
    assert np.isnan(value(name, [UNKNOWN]))


@pytest.mark.parametrize(
    ("name", "pairs"),
    [
        ("error_agreement", [RR, RW, WR]),
        ("error_kappa", [RR, RR, RR]),
        ("error_kappa", [SAME, DIFFERENT, DIFFERENT]),
        ("relative_negative_flips", [RR, RR, WR]),  # a student that is always right
        ("relative_negative_flips", [WR, DIFFERENT]),  # a teacher that is never right
        ("trust_compatibility", [WR, DIFFERENT, SAME]),
    ],
)
def test_a_zero_denominator_gives_null(name, pairs):
    assert np.isnan(value(name, pairs))


def test_independent_errors_have_kappa_0_and_relative_flips_1():
    # The student is right in half of the cases, independently of its teacher.
    pairs = [RR, RW, WR, DIFFERENT]
    assert value("error_kappa", pairs) == pytest.approx(0)
    assert value("relative_negative_flips", pairs) == pytest.approx(1)
    assert value("error_kappa", [RR, SAME]) == pytest.approx(1)
    assert value("error_kappa", [RW, WR]) == pytest.approx(-1)


@pytest.mark.parametrize("name", POOLED)
def test_sums_are_computed_in_a_batch(name):
    metric = metrics.get(name)()
    sums = np.random.default_rng(0).integers(0, 3, (4, 50, 5)).astype(float)
    values = metric.value(sums)
    assert values.shape == (4, 50)
    one_by_one = [[float(metric.value(row)) for row in rows] for rows in sums]
    np.testing.assert_allclose(values, one_by_one)


@given(_PAIRS)
def test_agreement_is_within_its_bounds(pairs):
    low, high = value("agreement_low", pairs), value("agreement_high", pairs)
    assert -1e-9 <= low - 1e-9 <= value("answer_agreement", pairs) <= high + 1e-9 <= 1 + 2e-9


@given(_PAIRS)
def test_the_five_cells_partition_the_pairs(pairs):
    actual = {name: value(name, pairs) for name in RATES}
    names = ("rr", "rw", "wr", "wws", "wwd")
    rr, rw, wr, wws, wwd = (actual[f"answers_{name}"] for name in names)
    assert rr + rw + wr + wws + wwd == pytest.approx(1)
    assert actual["answer_agreement"] == pytest.approx(rr + wws)
    assert actual["answer_accuracy"] - actual["teacher_accuracy"] == pytest.approx(wr - rw)
    right = [pair[0].right for pair in pairs]
    assert actual["answer_accuracy"] == pytest.approx(sum(right) / len(right))


@given(_PAIRS)
def test_values_are_in_range(pairs):
    for name, (unit, _) in POOLED.items():
        actual = value(name, pairs)
        low, high = {"rate": (0, 1), "correlation": (-1, 1), "ratio": (0, np.inf)}[unit]
        assert np.isnan(actual) or low - 1e-9 <= actual <= high + 1e-9


@given(_PAIRS)
def test_symmetric_metrics_do_not_change_when_sides_swap(pairs):
    turned = [pair[::-1] for pair in pairs]
    for name in ("answer_agreement", "answers_wws", "answers_wwd"):
        assert value(name, pairs) == value(name, turned)
    for name in ("agreement_low", "agreement_high", "error_agreement", "error_kappa"):
        assert value(name, pairs) == pytest.approx(value(name, turned), nan_ok=True)
    assert value("answers_rw", pairs) == value("answers_wr", turned)
    assert value("teacher_accuracy", pairs) == value("answer_accuracy", turned)


@pytest.mark.parametrize(("name", "direction"), RATES.items())
def test_shares_of_pairs_are_rates(name, direction):
    metric = metrics.get(name)
    assert (metric.name, metric.unit, metric.direction, metric.perfect) == (
        name,
        "rate",
        direction,
        None,
    )


@pytest.mark.parametrize(("name", "unit_and_direction"), POOLED.items())
def test_unit_and_direction_are_declared(name, unit_and_direction):
    metric = metrics.get(name)
    assert (metric.name, (metric.unit, metric.direction)) == (name, unit_and_direction)
