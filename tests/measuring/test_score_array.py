"""Scores in an array have the means and estimates of scores in lists, to the last bit."""

import math
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdbench.measuring.score_array import SampleScores, ScoreArray
from kdbench.stats.estimates import document_means, estimate
from kdbench.task.model import sha256_of, sha256_of_items

SCORES = st.one_of(st.none(), st.floats(0, 100), st.integers(-5, 5), st.booleans(), st.just(2**70))


@given(st.integers(1, 11), st.integers(1, 6), st.data())
@settings(max_examples=150, deadline=None)
def test_as_from_lists(seeds, documents, data):
    rows = data.draw(
        st.lists(
            st.lists(SCORES, min_size=seeds, max_size=seeds),
            min_size=documents,
            max_size=documents,
        )
    )
    scores = ScoreArray(documents, range(seeds))
    for row, of_row in enumerate(rows):
        for place, score in enumerate(of_row):
            scores.set(row, place, score)
    lists = {seed: [row[seed] for row in rows] for seed in range(seeds)}
    means = scores.means()
    expected = document_means(
        {seed: [None if s is None else float(s) for s in of] for seed, of in lists.items()}
    )
    assert list(means) == expected
    floats = {s: [None if v is None else float(v) for v in of] for s, of in lists.items()}
    assert scores.estimate("points", means) == estimate(floats, "points")
    by_sample = SampleScores([f"d{row}" for row in range(documents)], range(seeds), {"m": scores})
    found = [by_sample[key]["m"] for key in by_sample]
    given_scores = [score for row in rows for score in row]
    assert found == given_scores
    assert list(map(type, found)) == list(map(type, given_scores))


def test_a_score_that_is_no_number_is_no_gap():
    scores = ScoreArray(2, [10])
    scores.set(0, 0, math.nan)
    means = scores.means()
    assert math.isnan(means[0])
    assert means[1] is None
    assert math.isnan(scores.get(0, 0))


def test_scores_by_seed_stand_beside_arrays():
    scores = {"m": ScoreArray(1, [10, 20]), "forward": {20: [3.0]}, "none": {0: [1.0]}}
    by_sample = SampleScores(["a"], [10, 20], scores)
    assert dict(by_sample) == {
        ("a", 10): {"m": None},
        ("a", 20): {"m": None, "forward": 3.0},
    }


def test_memory_is_nine_bytes_a_score():
    tracemalloc.start()
    scores = ScoreArray(20_000, range(5))
    for row in range(20_000):
        for place in range(5):
            scores.set(row, place, row / 7)
    scores.estimate("points", scores.means())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000 * 40  # the means and their moments included; lists take more than 100


@pytest.mark.parametrize("items", [[], ["a"], [["ü", 1.5, None], {"b": "\n"}, "c"]])
def test_a_hash_of_items_is_that_of_their_list(items):
    assert sha256_of_items(iter(items)) == sha256_of(items)
