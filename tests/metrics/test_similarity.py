"""Similarity to the teacher's text equals sacrebleu's, for a pair, a corpus and any resample."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from kdbench.metrics import Answer, metrics
from kdbench.metrics.similarity import sentence_bleu

TEACHER, STUDENT = "the cat sat on the mat", "the cat on mat"
ONE_BY_ONE = ["rougeL_teacher", "sentence_bleu_teacher", "chrf_teacher"]

_HARD = "a b the cat sat mat, don't 3.14 café 東京 &quot; x- \n !!!"
_WORDS = st.sampled_from(_HARD.split(" "))
_TEXTS = st.one_of(st.lists(_WORDS, max_size=12).map(" ".join), st.text(max_size=25))
_WORDY = _TEXTS.filter(lambda text: bool(text.split()))


def answer(text):
    return Answer(text, ("-",))


def score(name, student, teacher):
    return metrics.get(name)().score(answer(student), answer(teacher))


def sums(*pairs):
    metric = metrics.get("bleu_teacher")()
    return np.array([metric.sums(answer(student), answer(teacher)) for student, teacher in pairs])


def corpus(*pairs):
    return float(metrics.get("bleu_teacher")().value(sums(*pairs).sum(0)))


def package(*pairs):
    students, teachers = zip(*pairs, strict=True)
    return BLEU().corpus_score(list(students), [list(teachers)]).score


def test_rouge_worked_out_by_hand():
    # LCS 4 words of 4 and of 6: P = 1, R = 2/3, F = 4/5.
    assert score("rougeL_teacher", STUDENT, TEACHER) == pytest.approx(80, abs=1e-12)


def test_bleu_worked_out_by_hand():
    # 4 of 4 words and 1 of 3 bigrams match; longer n-grams are smoothed: 1/2 of 1/2, 1/4 of 1.
    by_hand = 100 * math.exp(1 - 6 / 4) * (1 * 1 / 3 * 1 / 4 * 1 / 4) ** (1 / 4)
    assert corpus((STUDENT, TEACHER)) == pytest.approx(by_hand)
    assert score("sentence_bleu_teacher", STUDENT, TEACHER) == pytest.approx(by_hand)
    np.testing.assert_array_equal(sums((STUDENT, TEACHER)), [[4, 6, 4, 1, 0, 0, 4, 3, 2, 1]])


@given(st.lists(st.tuples(_TEXTS, _TEXTS), min_size=1, max_size=6))
def test_corpus_bleu_equals_sacrebleus(pairs):
    if any(text.split() for pair in pairs for text in pair):
        assert corpus(*pairs) == pytest.approx(package(*pairs), rel=1e-9, abs=1e-12)


@given(student=_TEXTS, teacher=_WORDY)
def test_single_scores_equal_sacrebleus(student, teacher):
    bleu = BLEU(effective_order=True).sentence_score(student, [teacher]).score
    assert score("sentence_bleu_teacher", student, teacher) == bleu
    assert (
        score("chrf_teacher", student, teacher) == CHRF().sentence_score(student, [teacher]).score
    )
    rouge = metrics.get("rougeL")().score(Answer(student, (teacher,)))
    if student.split() != teacher.split():
        assert score("rougeL_teacher", student, teacher) == rouge


@given(student=_WORDY, references=st.lists(_TEXTS, min_size=1, max_size=4))
def test_bleu_of_several_references_equals_sacrebleus(student, references):
    expected = BLEU(effective_order=True).sentence_score(student, references).score
    assert sentence_bleu(student, references) == expected


def test_resamples_are_computed_in_a_batch():
    rng = np.random.default_rng(0)
    pairs = [
        tuple(" ".join(rng.choice(list("abcdef"), rng.integers(1, 9))) for _ in range(2))
        for _ in range(30)
    ]
    counts = rng.multinomial(30, [1 / 30] * 30, size=(2, 50))
    values = metrics.get("bleu_teacher")().value(counts @ sums(*pairs))
    assert values.shape == (2, 50)
    for index in np.ndindex(2, 50):
        drawn = [pair for pair, n in zip(pairs, counts[index], strict=True) for _ in range(n)]
        assert values[index] == pytest.approx(package(*drawn), rel=1e-12)


@pytest.mark.parametrize("name", ONE_BY_ONE)
def test_an_empty_text_matches_only_an_empty_text(name):
    assert score(name, "", "") == score(name, " \n", "") == 100
    assert score(name, "", TEACHER) == score(name, STUDENT, "") == score(name, STUDENT, " ") == 0


def test_corpora_of_empty_texts_match():
    assert corpus(("", "")) == corpus((" ", ""), ("", "\n")) == 100
    assert corpus(("", TEACHER)) == corpus((STUDENT, "")) == corpus(("", "b"), ("b", "")) == 0
    assert corpus(("", ""), (STUDENT, TEACHER)) == corpus((STUDENT, TEACHER))


def test_a_corpus_without_four_tokens_in_a_row_has_no_bleu():
    assert corpus(("a b c", "a b c")) == package(("a b c", "a b c")) == 0
    assert score("sentence_bleu_teacher", "a b c", "a b c") == pytest.approx(100)
    assert corpus(("a b c", "a b c"), ("a b c d", "a b c d")) == pytest.approx(100)


@pytest.mark.parametrize(
    ("student", "teacher", "points"),
    [
        ("東京", "東京", 100),
        ("東京", "大阪", 0),
        ("!!!", "?", 0),
        ("東京", "Tokyo", 0),
        ("!", "", 0),
    ],
)
def test_texts_without_rouge_words_match_only_if_equal(student, teacher, points):
    assert score("rougeL_teacher", student, teacher) == points


@pytest.mark.parametrize("name", ONE_BY_ONE)
@given(student=_TEXTS, teacher=_TEXTS)
def test_points_range_from_0_to_100_for_equal_texts(name, student, teacher):
    assert 0 <= score(name, student, teacher) <= 100 + 1e-9
    assert score(name, student, student) == pytest.approx(100)


@given(student=_TEXTS, teacher=_TEXTS)
def test_rouge_is_symmetric(student, teacher):
    first, other = (
        score("rougeL_teacher", *pair) for pair in [(student, teacher), (teacher, student)]
    )
    assert first == pytest.approx(other)


@pytest.mark.parametrize("name", [*ONE_BY_ONE, "bleu_teacher"])
def test_the_metric_is_in_points_and_has_a_measured_ceiling(name):
    metric = metrics.get(name)
    assert (metric.name, metric.unit, metric.direction, metric.perfect) == (
        name,
        "points",
        "higher",
        None,
    )
