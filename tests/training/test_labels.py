"""Label words, and sources of rows with few known labels."""

from types import SimpleNamespace

import pytest
import torch

from kdbench.errors import InputError
from kdbench.training import Example, Plan
from kdbench.training.labels import (
    FromLabelled,
    LabelReport,
    at_label,
    label_words,
    probe_accuracy,
)
from kdbench.training.sources.partly_labelled import FromPartlyLabelled
from kdbench.views.rollout import Batch, of_dataset


def row(name, response, **fields):
    return Example(name, (1, 2), tuple(response), fields=fields)


YES, NO = row("r1", (8, 9, 5, 3), label="yes"), row("r2", (8, 9, 6, 4, 3), label="no")


def test_the_word_is_the_first_token_by_which_responses_differ():
    words = label_words([YES, NO, row("r3", (8, 9, 5, 7), label="yes")], "label")
    assert words.labels == ("no", "yes")
    assert words.tokens == (6, 5)
    assert words.before == (8, 9)
    logits = torch.arange(10.0)
    assert words.of(logits).tolist() == torch.tensor([6.0, 5.0]).log_softmax(-1).tolist()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([YES], "has one value in the training rows"),
        (
            [YES, NO, row("r3", (8, 9, 6), label="maybe")],
            "'maybe' and 'no' of the field 'label' begin with the same token .*'r3' and 'r2'",
        ),
        ([YES, NO, row("r3", (8, 9, 7), label="yes")], "'r1' and 'r3': label=yes has two words"),
        ([YES, NO, row("r3", (8, 9), label="yes")], "'r3': its response ends before the word"),
        ([row("r1", (5,))], "row 'r1' has no field 'label'"),
    ],
)
def test_labels_without_a_word_of_their_own_are_refused(rows, message):
    with pytest.raises(InputError, match=message):
        label_words(rows, "label")


def test_the_number_of_classes_and_their_rows_are_checked():
    with pytest.raises(InputError, match=r"classes=3: .* has 2 values \(no, yes\); pass classes=2"):
        FromLabelled("label", 3).check([YES, NO])
    with pytest.raises(InputError, match="label=no has 1 training rows, and the method needs 2"):
        FromLabelled("label", 2, 2).check([YES, YES, NO])


def test_validation_rows_must_have_the_same_words():
    for other, message in (
        (row("v", (8, 9, 6), label="yes"), "'v': its response does not begin as those"),
        (row("v", (9, 9, 5), label="yes"), "'v': its response does not begin as those"),
        (row("v", (8, 9, 5), label="maybe"), "label=maybe: the training rows have no, yes"),
    ):
        with pytest.raises(InputError, match=message):
            LabelReport().check([YES, NO], [other])
    LabelReport().check([YES, NO], [YES])


def test_the_factor_makes_a_mean_over_tokens_the_value_at_the_label():
    plan = Plan(Batch([of_dataset(YES), of_dataset(NO)]), lambda *_: None, {})
    assert at_label(plan, 2).tolist() == [[0, 0, 4, 0, 0], [0, 0, 5, 0, 0]]


def test_a_probe_finds_groups_that_are_there_and_none_that_are_not():
    draw = torch.Generator().manual_seed(0)
    states = torch.randn(200, 8, generator=draw)
    groups = ["a" if value > 0 else "b" for value in states[:, 3].tolist()]
    assert probe_accuracy(states, groups) > 0.85
    noise = ["a" if value > 0 else "b" for value in torch.randn(200, generator=draw).tolist()]
    assert 0.35 < probe_accuracy(states, noise) < 0.65


LABELLED = [row(f"l{n}", (8, 5 + n % 2), label="ab"[n % 2], labelled=1) for n in range(4)]
OTHERS = [row(f"u{n}", (1, 1), label="poison", labelled=0) for n in range(6)]


class OneStep:
    size, examples = 4, [*OTHERS, *LABELLED]

    def pool(self, where):
        return [row for row in LABELLED + OTHERS if where(row)]

    def own_uniform(self, _):
        return 0.3


def test_nothing_of_an_unlabelled_rows_response_is_read():
    source = FromPartlyLabelled(label="label")
    source.check(LABELLED + OTHERS)
    source.begin(SimpleNamespace(train=LABELLED + OTHERS))
    rollouts = source.rollouts(OneStep())
    assert [rollout.origin for rollout in rollouts] == ["dataset"] * 2 + ["unlabelled"] * 2
    assert {rollout.response_ids for rollout in rollouts[2:]} == {(8, 5)}


def test_flags_are_checked():
    with pytest.raises(InputError, match="labelled='yes': must be 1 or 0"):
        FromPartlyLabelled().check([row("r", (3,), labelled="yes")])
    with pytest.raises(InputError, match="no training row has labelled=1"):
        FromPartlyLabelled().check(OTHERS)
