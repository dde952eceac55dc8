"""Exact match is equality after exactly MiniLLM's normalisation."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdbench.metrics import Answer, metrics
from kdbench.metrics.exact_match import normalise


def score(response, *references):
    return metrics.get("exact_match")().score(Answer(response, references))


@pytest.mark.parametrize(
    ("response", "reference", "points"),
    [
        ("Paris", "Paris", 100),
        ("PARIS", "paris", 100),
        ("Paris.", "Paris", 100),
        ("don't", "dont", 100),
        ("well-known", "wellknown", 100),
        (" New \n York\t", "New York", 100),
        ("New York", "NewYork", 0),
        ("the cat", "cat", 0),
        ("a cat", "cat", 0),
        ("Paris, France", "Paris", 0),
        ("cats", "cat", 0),
        ("café", "cafe", 0),
        ("“Paris”", "Paris", 0),  # only ASCII punctuation is removed
        ("", "Paris", 0),
        ("", "", 100),
    ],
)
def test_case_punctuation_and_space_are_ignored(response, reference, points):
    assert score(response, reference) == points


def test_any_reference_can_match():
    assert score("rome", "Paris", "Rome", "Oslo") == 100
    assert score("bern", "Paris", "Rome", "Oslo") == 0


@given(st.text(alphabet="aB.,'! \t\n-é", max_size=30))
def test_texts_are_normalised_to_lower_case_words(text):
    assert normalise(text) == " ".join(re.sub(r"[.,'!-]", "", text).lower().split())


@given(st.text(max_size=30))
def test_every_text_matches_itself(text):
    assert score(text, text) == 100


def test_the_metric_is_in_points_and_higher_is_better():
    metric = metrics.get("exact_match")
    assert (metric.name, metric.unit, metric.direction) == ("exact_match", "points", "higher")
