"""ROUGE-L equals the rouge-score package to the last bit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from kdbench.metrics import Answer, metrics

HAND = [
    "",
    "the cat sat on the mat",
    "The CAT sat on the mat.",
    "café au lait, naïve Straße",
    "cafe au lait",
    "don't do it; dont",
    "3.14 is pi, 3 14 is not",
    "!!!",
    "first line\nsecond line",
    "second line\nfirst line",
    "3.14 was his bus, was has is",
    "running runs ran easily generational general",
    "the the the the",
    "東京 は 日本 の 首都 2020",
    "K\u212a İstanbul ﬁne x\u00a0y snake_case",
]

# Few words, so that texts share some, including those that are hard to tokenize.
_HARD = "the The THE cat cats running run flies was his 42 don't café naïve 東京 !!! a-b a_b İ ß x"
_WORDS = st.sampled_from(_HARD.split())
_TEXTS = st.one_of(
    st.lists(_WORDS, max_size=15).map(" ".join),
    st.text(max_size=40),
    st.text(alphabet="aAb cs-é.1\n", max_size=40),
)


def score(response, *references):
    return metrics.get("rougeL")().score(Answer(response, references))


@pytest.fixture(scope="module")
def package():
    return RougeScorer(["rougeL"], use_stemmer=True)


def expected(package, response, references):
    return 100 * package.score_multi(list(references), response)["rougeL"].fmeasure


@given(response=_TEXTS, references=st.lists(_TEXTS, min_size=1, max_size=3))
def test_values_are_bit_identical_to_the_package(package, response, references):
    assert score(response, *references) == expected(package, response, references)


@pytest.mark.parametrize("response", HAND)
def test_values_are_bit_identical_on_known_hard_texts(package, response):
    for reference in HAND:
        assert score(response, reference) == expected(package, response, [reference])


def test_the_value_equals_the_hand_computation():
    # LCS "the cat on mat" = 4 words of 4 and of 6: P = 1, R = 2/3, F = 4/5.
    assert score("the cat on mat", "the cat sat on the mat") == pytest.approx(80, abs=1e-12)


def test_precision_and_recall_have_equal_weight():
    first, other = "the cat on mat", "the cat sat on the mat today"
    assert score(first, other) == score(other, first)


def test_the_best_reference_counts():
    references = ("nothing alike", "a cat sat", "a dog")
    assert score("a cat sat", *references) == 100
    assert score("a dog", *reversed(references)) == 100
    assert score("no word", *references) == 0


def test_word_order_matters():
    assert score("b a", "a b") == pytest.approx(50)


def test_inflection_and_case_are_ignored():
    assert score("Cats RUNNING", "cat runs") == 100


def test_words_of_three_letters_are_not_stemmed():
    assert score("was", "wa") == 0  # Porter would make "was" "wa"


def test_an_accent_splits_a_word():
    assert score("café", "caf") == 100
    assert score("café", "cafe") == 0


@pytest.mark.parametrize("text", ["", "!!!", "東京"])
def test_texts_without_words_score_zero_even_with_themselves(text):
    assert score(text, text) == 0


def test_the_metric_is_in_points_and_higher_is_better():
    metric = metrics.get("rougeL")
    assert (metric.name, metric.unit, metric.direction) == ("rougeL", "points", "higher")
