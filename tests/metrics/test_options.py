"""Divergence and calibration over options, with numbers worked by hand and by scipy."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import rel_entr
from scipy.stats import binomtest

from kdbench.metrics import Answer, make_metrics, make_option_metrics, metrics


def answer(*probabilities, right=None):
    return Answer("", (), right=right, options=tuple(map(math.log, probabilities)))


def score(name, student, teacher):
    return metrics.get(name)().score(student, teacher)


def number(name, rows):
    metric = metrics.get(name)()
    sums = [metric.sums(*row) if isinstance(row, tuple) else metric.sums(row) for row in rows]
    return float(metric.value(np.array(sums).sum(0)))


_WEIGHTS = st.lists(st.floats(1e-6, 1), min_size=4, max_size=4)


@given(_WEIGHTS, _WEIGHTS)
def test_divergences_equal_scipys(p, q):
    p, q = (np.array(values) / sum(values) for values in (p, q))
    student, teacher = answer(*q), answer(*p)
    middle = (p + q) / 2
    jsd = (rel_entr(p, middle).sum() + rel_entr(q, middle).sum()) / 2
    expected = {"fkl": rel_entr(p, q).sum(), "rkl": rel_entr(q, p).sum(), "jsd": jsd}
    for name, value in expected.items():
        assert score(f"option_{name}", student, teacher) == pytest.approx(value, abs=1e-9)
        assert score(f"option_{name}", student, student) == pytest.approx(0, abs=1e-12)


def test_the_teacher_is_first_in_forward_kl():
    sure, even = answer(0.9, 0.1), answer(0.5, 0.5)
    expected = 0.9 * math.log(0.9 / 0.5) + 0.1 * math.log(0.1 / 0.5)
    assert score("option_fkl", student=even, teacher=sure) == pytest.approx(expected)
    assert score("option_rkl", student=sure, teacher=even) == pytest.approx(expected)


def test_without_options_nothing_is_defined():
    for name in ("option_fkl", "option_rkl", "option_jsd"):
        assert score(name, Answer("a", ()), answer(0.5, 0.5)) is None
    assert math.isnan(number("option_ece", [Answer("a", (), right=True)]))
    assert math.isnan(number("option_ece", [answer(0.5, 0.5)]))  # nobody knows what is right


# Bin (0.5, 0.6]: 1 of 2 right at 0.6 each. Bin (0.8, 0.9]: 1 of 1 right at 0.9. Bin (0.4, 0.5]: at
# exactly 0.5, wrong.
FOUR = [
    answer(0.6, 0.4, right=True),
    answer(0.4, 0.6, right=False),
    answer(0.9, 0.1, right=True),
    answer(0.5, 0.5, right=False),
]
ECE = (abs(1 - 1.2) + abs(1 - 0.9) + abs(0 - 0.5)) / 4


def test_the_calibration_error_is_that_by_hand():
    assert number("option_ece", FOUR) == pytest.approx(ECE)
    surer = [answer(0.99, 0.01, right=a.right) for a in FOUR]
    own = abs(2 - 4 * 0.99) / 4
    assert number("option_ece_gap", list(zip(surer, FOUR, strict=True))) == pytest.approx(own - ECE)
    assert number("option_ece_gap", [(a, a) for a in FOUR]) == 0


def test_ordinary_tasks_do_not_have_the_metrics_of_options():
    assert [metric.name for metric in make_option_metrics()] == ["option_ece"]
    assert "option_ece" not in {metric.name for metric in make_metrics()}


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_mcnemar_equals_scipys_binomial_test(pairs):
    student, teacher = (
        [Answer("", (), right=right) for right in side] for side in zip(*pairs, strict=True)
    )
    gained = sum(s and not t for s, t in pairs)
    lost = sum(t and not s for s, t in pairs)
    expected = binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert metrics.get("answers_mcnemar")().value(student, teacher) == pytest.approx(expected)


def test_mcnemar_counts_only_pairs_known_to_be_right_or_wrong():
    mcnemar = metrics.get("answers_mcnemar")()
    unknown, right, wrong = (Answer("", (), right=known) for known in (None, True, False))
    assert mcnemar.value([unknown, right], [right, unknown]) is None
    assert mcnemar.value([right] * 3 + [unknown], [wrong] * 3 + [wrong]) == pytest.approx(0.25)
