"""Rescued responses: which have a context, which one it is, and what the view is shown."""

from dataclasses import replace

import pytest
from small_context import EXAMPLES, Letters, tiny_context

from kdbench.errors import InputError
from kdbench.training.rescue import RescuePrompt, solution_of
from kdbench.training.source import FromStudent
from kdbench.training.sources.repeated import Repeated
from kdbench.training.sources.rescues import FromRescues
from kdbench.training.verifiers import verifier
from kdbench.views.rollout import Example, Rollout, of_dataset


class Answers:
    """A draw whose responses are given, four to each example."""

    step, size, schedule = 0, 2, {}
    examples = (Example("a", (5,), (9,), ("x",)), Example("b", (6,), (9,), ("y",)))

    def __init__(self, *words):
        self.words, self.notes = words, {}

    def responses(self, examples, view, samples):
        asked = [example for example in examples for _ in range(samples)]
        return [
            Rollout(e.id, e.prompt_ids, (ord(word), 1), view, example=e)
            for e, word in zip(asked, self.words, strict=True)
        ]

    def text(self, rollout):
        return chr(rollout.response_ids[0])

    def note(self, name, value):
        self.notes.setdefault(name, []).append(value)

    def target_log_probs(self, rollouts, view):  # noqa: ARG002
        return [[-1.0, -2.0] for _ in rollouts]


def test_failed_responses_of_a_group_see_its_first_success():
    draw = Answers("z", "x", "z", "X", "z", "z", "z", "z")
    rows = FromRescues(verifier("exact_match"), 4).rollouts(draw)
    assert [row.origin for row in rows] == ["rescued", "student", "rescued", *["student"] * 5]
    assert [solution_of(row.example) for row in rows] == ["x", "", "x", *[""] * 5]
    assert [row.recorded["reward"][0] for row in rows] == [0, 1, 0, 1, 0, 0, 0, 0]
    assert draw.notes["groups/rescued"] == [2 / 8]
    alone = FromRescues(verifier("exact_match"), 4, rescued_only=True)
    assert alone.rollouts(draw) == [rows[0], rows[2]]
    assert alone.origins == ("rescued",)
    assert alone.rollouts(Answers(*"xxxxzzzz")) == []


def test_a_row_that_has_the_field_already_is_refused():
    draw = Answers(*"xzzz")
    draw.examples = (replace(Answers.examples[0], fields={"solution": "w"}),)
    with pytest.raises(InputError, match="row 'a': rename its column 'solution'"):
        FromRescues(verifier("exact_match"), 4).rollouts(draw)


def test_rows_without_a_number_are_refused_before_anything_is_loaded():
    with pytest.raises(InputError, match="row 'a': no reference has a number"):
        FromRescues(verifier("number"), 4).check(Answers.examples)
    FromRescues(verifier("exact_match"), 4).check(Answers.examples)


def test_the_view_is_shown_the_success_and_the_check_the_longest_one():
    prompt = RescuePrompt(solution_of, 20, "{}k")
    prompt.begin(tiny_context().context)
    longest = tiny_context().context.sampling.max_new_tokens

    def encode(text):
        return Letters()(text)["input_ids"]

    plain = of_dataset(EXAMPLES[0])
    assert len(prompt(plain, encode)) == len(plain.prompt_ids) + min(20, longest + 1)
    failed = replace(
        plain, origin="rescued", example=replace(EXAMPLES[0], fields={"solution": "j"})
    )
    assert prompt(failed, encode) == (9, 10, *plain.prompt_ids)
    assert prompt(replace(plain, origin="student"), encode) == plain.prompt_ids


class Counting:
    """A draw whose responses are new in each step."""

    size, schedule = 2, {}

    def __init__(self, step):
        self.step, self.examples = step, Answers.examples

    def uniform(self, name):  # noqa: ARG002
        return 0.0

    def stream(self, start, count):
        return [replace(Answers.examples[n % 2], id=f"s{n}") for n in range(start, start + count)]

    def student_responses(self, examples):
        return [Rollout(e.id, e.prompt_ids, (self.step, 1), "student") for e in examples]

    def target_log_probs(self, rollouts, view):  # noqa: ARG002
        return [[-float(self.step), -1.0] for _ in rollouts]


def test_repeated_responses_are_learned_several_times_also_after_a_resume():
    def steps(source, numbers):
        return [source.rollouts(Counting(number)) for number in numbers]

    once = Repeated(FromStudent()).rollouts(Counting(3))
    assert [row.id for row in once] == ["a", "b"]
    assert once[0].recorded["log_sampled"] == (-3.0, -1.0)
    assert Repeated(passes=4).prompts_per_step(8) == 2
    whole = steps(Repeated(passes=3), range(7))
    assert whole[0] == whole[2] != whole[3] == whole[5] != whole[6]
    assert [row.id for step in whole[::3] for row in step] == ["s0", "s1", "s2", "s3", "s4", "s5"]
    for stop in range(7):
        first, second = Repeated(passes=3), Repeated(passes=3)
        before = steps(first, range(stop))
        second.restore(first.state())
        assert before + steps(second, range(stop, 7)) == whole
    with pytest.raises(InputError, match="passes="):
        Repeated(passes=0)
