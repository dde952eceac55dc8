"""Distinct-n counts n-grams over all responses of a seed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdbench.metrics import Answer, metrics


def value(size, *texts):
    return metrics.get(f"distinct_{size}")().value([Answer(text, ("-",)) for text in texts])


@pytest.mark.parametrize(("size", "expected"), [(1, 2 / 4), (2, 2 / 3), (3, 2 / 2), (4, 1 / 1)])
def test_one_text_worked_out_by_hand(size, expected):
    assert value(size, "a b a b") == expected


def test_responses_are_counted_together():
    assert value(1, "a b", "a c") == 3 / 4
    assert value(2, "a b", "a b", "a b") == 1 / 3
    assert value(1, "a b", "") == 1


def test_ngrams_do_not_cross_responses():
    assert value(2, "a", "b") is None
    assert value(2, "a b", "c") == 1


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_responses_that_are_too_short_give_null(size):
    assert value(size, " ".join("x" * (size - 1)), "") is None
    assert value(size) is None
    assert value(size, " ".join("x" * size)) == 1


def test_words_are_separated_by_white_space():
    assert value(1, "A a a.\ta\nA") == 3 / 5


@given(st.lists(st.sampled_from("abc"), min_size=4, max_size=20), st.integers(1, 4))
def test_repeating_the_corpus_halves_the_value(vocabulary, size):
    text = " ".join(vocabulary)
    assert value(size, text, text) == pytest.approx(value(size, text) / 2)


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_the_metric_is_a_rate_without_a_direction(size):
    metric = metrics.get(f"distinct_{size}")
    assert (metric.name, metric.unit, metric.direction) == (f"distinct_{size}", "rate", "none")


@given(
    st.lists(st.lists(st.sampled_from("abcü"), max_size=9).map(" ".join), max_size=12),
    st.integers(1, 4),
    st.integers(1, 30),
)
def test_a_tally_gives_the_value_however_often_it_merges(texts, size, at_once):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kdbench.metrics.distinct._GRAMS", at_once)
        tally = metrics.get(f"distinct_{size}")().tally()
        for text in texts:
            tally.add(Answer(text, ("-",)))
        assert tally.value() == value(size, *texts)
