"""Retention is the student's sum divided by the teacher's, not a mean of ratios."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdbench.metrics import Answer, metrics

REFERENCE = "the cat sat on the mat"
NAMES = ["rougeL_retained", "exact_match_retained", "length_ratio"]
_TEXTS = st.lists(st.sampled_from(["the", "cat", "sat", "dog"]), max_size=6).map(" ".join)


def value(name, *pairs):
    metric = metrics.get(name)()
    sums = [metric.sums(*(Answer(text, (REFERENCE,)) for text in pair)) for pair in pairs]
    return float(metric.value(np.array(sums).sum(0)))


def test_rouge_worked_out_by_hand():
    # The student has 80 of the teacher's 100 points, then (80 + 0) / (100 + 80).
    assert value("rougeL_retained", ("the cat on mat", REFERENCE)) == pytest.approx(0.8)
    pairs = [("the cat on mat", REFERENCE), ("dog", "the cat on mat")]
    assert value("rougeL_retained", *pairs) == pytest.approx(80 / 180)


def test_exact_match_worked_out_by_hand():
    right, wrong = "The cat sat on the mat.", "the cat on mat"
    pairs = [(right, right), (wrong, right), (wrong, wrong), (wrong, right)]
    assert value("exact_match_retained", *pairs) == pytest.approx(1 / 3)
    assert value("exact_match_retained", (right, wrong), (right, right)) == 2


def test_length_worked_out_by_hand():
    assert value("length_ratio", ("the cat on mat", REFERENCE)) == pytest.approx(4 / 6)
    assert value("length_ratio", ("a  b\n c", "a"), ("", "a b c")) == 3 / 4


@pytest.mark.parametrize("name", NAMES)
def test_a_teacher_score_of_0_gives_null(name):
    assert np.isnan(value(name, (REFERENCE, ""), (REFERENCE, "")))
    assert np.isnan(value(name, ("", "")))


@pytest.mark.parametrize("name", NAMES)
def test_sums_are_divided_in_a_batch(name):
    sums = np.array([[[1, 2], [3, 0]], [[0, 5], [0, 0]]])
    expected = [[0.5, np.nan], [0, np.nan]]
    np.testing.assert_array_equal(metrics.get(name)().value(sums), expected)


@pytest.mark.parametrize("name", NAMES)
@given(texts=st.lists(_TEXTS, min_size=1, max_size=5))
def test_a_copy_of_the_teacher_retains_everything(name, texts):
    copied = value(name, *((text, text) for text in texts))
    assert copied == metrics.get(name).perfect or np.isnan(copied)


@pytest.mark.parametrize("name", NAMES)
def test_the_unit_is_a_ratio(name):
    metric = metrics.get(name)
    direction = "none" if name == "length_ratio" else "higher"
    assert (metric.name, metric.unit, metric.direction) == (name, "ratio", direction)
