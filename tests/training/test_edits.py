"""Edits of prompts by rules: the question changes, the form does not."""

from collections import Counter
from typing import Any

from kdbench.training.edits import PromptEditor
from kdbench.training.source import keyed_uniform
from kdbench.views.rollout import Example

WORDS = ["### Ask:\n", "\n### Answer:", " sort", " the", " list", " of", " red", " blue", " cats"]
QUESTIONS = [(2, 3, 4, 5, 6), (3, 4, 7), (6, 5, 8), (8, 2), (7, 7, 3, 2), (5, 4, 4)]
EXAMPLES = [
    Example(str(n), (0, *question, 1), (9,), ("yes",), fields={"kind": n})
    for n, question in enumerate(QUESTIONS)
]


class Tokenizer:
    """Each word is a token; others are 9."""

    def decode(self, ids: Any) -> str:
        return "".join(WORDS[token] for token in ids)

    def __call__(self, text: str, **_: Any) -> dict[str, list[int]]:
        words = [f" {word}" for word in text.split(" ") if word]
        return {"input_ids": [WORDS.index(word) if word in WORDS else 9 for word in words]}


def edits(example: Example, seed: int = 1, count: int = 40) -> list[Example]:
    editor = PromptEditor(EXAMPLES, Tokenizer())
    found = [
        editor.edited(example, str(n), lambda name: keyed_uniform(seed, example.id, name))
        for n in range(count)
    ]
    return [edit for edit in found if edit is not None]


def test_the_form_stays_and_the_question_changes() -> None:
    made = edits(EXAMPLES[0])
    assert all(edit.prompt_ids[0] == 0 and edit.prompt_ids[-1] == 1 for edit in made)
    questions = [edit.prompt_ids[1:-1] for edit in made]
    lengths = Counter(len(question) for question in questions)
    assert lengths[4] > 0  # a word is left out
    assert max(lengths) > 5  # an opening is put before
    whole = [question for question in questions if len(question) == 5 and 9 not in question]
    assert any(sorted(question) == sorted(QUESTIONS[0]) for question in whole)  # words swapped
    assert any(sorted(question) != sorted(QUESTIONS[0]) for question in whole)  # a word replaced


def test_an_edit_depends_on_its_random_numbers_alone() -> None:
    assert edits(EXAMPLES[1]) == edits(EXAMPLES[1])
    assert edits(EXAMPLES[1]) != edits(EXAMPLES[1], seed=2)
    assert len({edit.id for edit in edits(EXAMPLES[1])}) == 40


def test_an_edited_example_has_no_response_and_keeps_its_fields() -> None:
    edit = edits(EXAMPLES[2])[0]
    assert (edit.response_ids, edit.references, edit.context_ids) == ((), (), None)
    assert edit.fields == {"kind": 2}


def test_a_prompt_without_a_question_is_not_edited() -> None:
    assert edits(Example("x", (0, 1), (9,))) == []
    assert edits(Example("x", (0,), (9,))) == []
