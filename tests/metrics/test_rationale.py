"""A rationale is a response without its final answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from kdbench.metrics import Answer, metrics
from kdbench.metrics.rationale import rationale

ALL, BLEU_RIGHT, CHRF_RIGHT = (
    "rationale_bleu",
    "rationale_bleu_both_right",
    "rationale_chrf_both_right",
)
NAMES = [ALL, BLEU_RIGHT, CHRF_RIGHT]
_WORDS = st.lists(st.sampled_from(["add", "two", "and", "gets", "4"]), min_size=1, max_size=9)


def answer(text, final, right=True):
    return Answer(text, ("-",), final=final, right=right)


def score(name, student, teacher):
    return metrics.get(name)().score(student, teacher)


@pytest.mark.parametrize(
    ("text", "final", "left"),
    [
        ("2 and 2 is 4", "4", "2 and 2 is"),
        ("4 is 2 and 2, so 4.", "4", "4 is 2 and 2, so ."),  # the last occurrence is removed
        ("4: two and two", "4", ": two and two"),
        ("4", "4", None),
        (" 4\n", "4", None),
        ("a whole text", "a whole text", None),
        ("two and two", "4", None),  # the extracted answer does not occur in the text
        ("two and two", None, None),
        ("two and two", "", None),
        ("", "", None),
    ],
)
def test_the_rationale_worked_out_by_hand(text, final, left):
    assert rationale(answer(text, final)) == left


@given(before=_WORDS.map(" ".join), final=st.from_regex(r"[0-9]{1,3}", fullmatch=True))
def test_only_the_answer_is_removed(before, final):
    text = f"{before} {final} x"
    left = rationale(answer(text, final))
    assert left.split() == [*before.split(), "x"]


def test_an_answer_inside_a_word_is_kept():
    assert rationale(answer("The answer is A. That is All.", "A")) == "The answer is . That is All."
    assert rationale(answer("That is All.", "A")) is None


@given(student=_WORDS.map(" ".join), teacher=_WORDS.map(" ".join))
def test_scores_equal_those_of_sacrebleu(student, teacher):
    pair = [answer(f"{text} #12", "#12") for text in (student, teacher)]
    bleu = BLEU(effective_order=True).sentence_score(student, [teacher]).score
    assert score(ALL, *pair) == score(BLEU_RIGHT, *pair) == bleu
    assert score(CHRF_RIGHT, *pair) == CHRF().sentence_score(student, [teacher]).score


@pytest.mark.parametrize("name", NAMES)
def test_the_final_answer_is_not_scored(name):
    pair = answer("two and two is four 4", "4"), answer("two and two is four 5", "5")
    assert score(name, *pair) == pytest.approx(100)


@pytest.mark.parametrize(
    ("student", "teacher"),
    [(True, False), (False, True), (False, False), (None, True), (None, None)],
)
def test_the_both_right_variants_score_only_pairs_that_are_both_right(student, teacher):
    pair = answer("so it is 4", "4", student), answer("so it is 4", "4", teacher)
    assert score(ALL, *pair) == pytest.approx(100)
    assert score(BLEU_RIGHT, *pair) is score(CHRF_RIGHT, *pair) is None


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bare", [answer("4", "4"), answer("so it is", None)])
def test_a_pair_without_both_rationales_is_not_counted(name, bare):
    full = answer("so it is 4", "4")
    assert score(name, full, bare) is score(name, bare, full) is score(name, bare, bare) is None


@pytest.mark.parametrize("name", NAMES)
def test_the_metric_is_in_points_and_has_a_measured_ceiling(name):
    metric = metrics.get(name)
    assert (metric.name, metric.unit, metric.direction, metric.perfect) == (
        name,
        "points",
        "higher",
        None,
    )
