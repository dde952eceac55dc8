"""Metrics under the same noise: equal texts, and the first difference."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdbench.metrics import Answer, metrics

_TOKENS = st.lists(st.integers(0, 2), max_size=8).map(tuple)


def text(student, teacher):
    return metrics.get("same_text")().score(Answer(student, ("-",)), Answer(teacher, ("-",)))


def divergence(student, teacher):
    sides = (Answer("-", ("-",), tokens=tokens) for tokens in (student, teacher))
    return metrics.get("first_divergence")().score(*sides)


@pytest.mark.parametrize(
    ("student", "teacher", "same"),
    [
        ("a cat", "a cat", 1),
        ("a cat", "A cat", 0),
        ("a cat", "a cat ", 0),
        ("", "", 1),
        ("", "a", 0),
    ],
)
def test_same_text_compares_exactly(student, teacher, same):
    assert text(student, teacher) == same


@pytest.mark.parametrize(
    ("student", "teacher", "index"),
    [
        ((1, 2, 3), (1, 2, 4), 2),
        ((1, 2, 3), (4, 2, 3), 0),
        ((1, 2, 3, 9), (1, 5, 3, 9), 1),
        ((1, 2, 3), (1, 2, 3), 3),
        ((1, 2), (1, 2, 3), 2),
        ((), (1,), 0),
        ((), (), 0),
        (None, (1,), None),
        ((1,), None, None),
        (None, None, None),
    ],
)
def test_first_divergence_worked_out_by_hand(student, teacher, index):
    assert divergence(student, teacher) == index


@given(_TOKENS, _TOKENS)
def test_tokens_are_equal_before_the_first_divergence_and_differ_there(student, teacher):
    index = int(divergence(student, teacher))
    assert index == divergence(teacher, student)
    assert student[:index] == teacher[:index]
    assert student[index : index + 1] != teacher[index : index + 1] or student == teacher


@pytest.mark.parametrize(
    ("name", "unit", "perfect"), [("same_text", "rate", 1.0), ("first_divergence", "tokens", None)]
)
def test_unit_and_direction_are_declared(name, unit, perfect):
    metric = metrics.get(name)
    assert (metric.name, metric.unit, metric.direction) == (name, unit, "higher")
    assert (metric.perfect, metric.same_noise) == (perfect, True)


def test_no_other_metric_shares_the_noise():
    parts = [metrics.get(name) for name in ("chrf_teacher", "answer_agreement", "rationale_bleu")]
    assert not any(metric.same_noise for metric in parts)
