"""The diversity gap is signed and compares equal amounts of text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU

from kdbench.metrics import Answer, metrics
from kdbench.metrics.distinct import distinct_share
from kdbench.metrics.diversity_gap import self_bleu

_TEXTS = st.lists(st.sampled_from("abc"), max_size=9).map(" ".join)


def answers(texts):
    return [Answer(text, ("-",)) for text in texts]


def gap(size, student, teacher):
    return metrics.get(f"distinct_{size}_gap")().value(answers(student), answers(teacher))


def self_bleu_gap(student, teacher):
    return metrics.get("self_bleu_gap")().score(answers(student), answers(teacher))


@pytest.mark.parametrize(("size", "student"), [(1, 2 / 4), (2, 2 / 3), (3, 2 / 2), (4, 1 / 1)])
def test_distinct_worked_out_by_hand(size, student):
    assert gap(size, ["a b a b"], ["a b c d"]) == pytest.approx(student - 1)
    assert gap(size, ["a b c d"], ["a b a b"]) == pytest.approx(1 - student)


def test_each_pair_is_cut_to_the_shorter():
    # The cut pairs are "a a" with "a b" and "c" with "a": 2 of 3 words are distinct on both sides.
    assert gap(1, ["a a a a", "c"], ["a b", "a d e"]) == 2 / 3 - 2 / 3
    # Uncut, the student's would be 1 of 4 and the gap negative.
    assert gap(1, ["a a a a"], ["b"]) == 0
    assert gap(1, ["a b c d e", "a"], ["a a", "b"]) == pytest.approx(2 / 3 - 2 / 3)


def test_a_side_that_is_too_short_gives_null():
    assert gap(1, ["", "a"], ["a b", ""]) is None
    assert gap(2, ["a b c"], ["a"]) is None
    assert gap(1, [], []) is None


def test_unpaired_responses_are_an_error():
    with pytest.raises(ValueError, match="shorter"):
        gap(1, ["a", "b"], ["a"])


@given(st.lists(st.tuples(_TEXTS, _TEXTS), max_size=5), st.integers(1, 4))
def test_swapping_the_sides_changes_the_sign(pairs, size):
    student, teacher = [student_text for student_text, _ in pairs], [other for _, other in pairs]
    forward, backward = gap(size, student, teacher), gap(size, teacher, student)
    assert forward is backward is None or forward == -backward
    assert forward is None or -1 < forward < 1
    assert gap(size, student, student) in (0, None)


@given(st.lists(_TEXTS, max_size=5), st.integers(1, 4))
def test_the_share_equals_distinct_n(texts, size):
    assert distinct_share([text.split() for text in texts], size) == metrics.get(
        f"distinct_{size}"
    )().value(answers(texts))


def test_self_bleu_worked_out_by_hand():
    same, other = "a b c d", ["e f g h", "i j k l", "m n o p", "q r s t"]
    assert self_bleu(answers([same] * 4)) == pytest.approx(100)
    assert self_bleu(answers(other)) == 0
    # Two of the four responses are equal.
    assert self_bleu(answers([same, same, *other[:2]])) == pytest.approx(50)
    assert self_bleu_gap([same] * 4, other) == pytest.approx(100)  # the student is less diverse
    assert self_bleu_gap(other, [same, same, *other[:2]]) == pytest.approx(-50)


def test_self_bleu_equals_sacrebleu_with_the_others_as_references():
    texts = ["the cat sat on the mat", "the cat on mat", "a dog sat", "the dog sat on the mat"]
    scorer = BLEU(effective_order=True)
    expected = [
        scorer.sentence_score(text, [other for other in texts if other != text]).score
        for text in texts
    ]
    assert self_bleu(answers(texts)) == pytest.approx(sum(expected) / 4)


def test_empty_responses_count_as_equal():
    assert self_bleu(answers([""] * 4)) == 100
    assert self_bleu(answers(["", "", "a b c d", "e f g h"])) == 50


@pytest.mark.parametrize(("student", "teacher"), [(3, 3), (3, 4), (4, 3), (0, 0), (0, 9)])
def test_self_bleu_needs_four_responses(student, teacher):
    assert self_bleu_gap(["a"] * student, ["a"] * teacher) is None


def test_equal_numbers_of_responses_are_compared():
    texts = ["a b c d", "e f g h", "i j k l", "m n o p"]
    assert self_bleu_gap(texts, [*texts, texts[0]]) == 0


@given(st.lists(_TEXTS, min_size=4, max_size=5), st.lists(_TEXTS, min_size=4, max_size=5))
def test_the_gap_of_self_bleu_is_signed(student, teacher):
    forward = self_bleu_gap(student, teacher)
    assert forward == -self_bleu_gap(teacher, student)
    assert -100.001 < forward < 100.001
    assert self_bleu_gap(student, student) == 0


@pytest.mark.parametrize(
    ("name", "unit"),
    [*((f"distinct_{size}_gap", "rate") for size in (1, 2, 3, 4)), ("self_bleu_gap", "points")],
)
def test_a_gap_has_no_direction_and_is_0_for_the_teacher(name, unit):
    metric = metrics.get(name)
    assert (metric.name, metric.unit, metric.direction, metric.perfect) == (name, unit, "none", 0)
