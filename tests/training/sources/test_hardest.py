"""Edited prompts: the hardest of those where the teacher is sure, with the teacher's text."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from kdbench.training.source import keyed_uniform
from kdbench.training.sources.hardest import FromHardest
from kdbench.views.rollout import Example, Rollout

EXAMPLES = [Example(str(n), (3, n + 1, 4), (9, 2), ("gold",)) for n in range(20)]


class Tokenizer:
    """The words of a prompt are its numbers."""

    def decode(self, ids: Sequence[int]) -> str:
        return " ".join(map(str, ids))

    def __call__(self, text: str, **_: Any) -> dict[str, list[int]]:
        return {"input_ids": [int(word) for word in text.split() if word.isdigit()]}


class Given:
    train, tokenizer = EXAMPLES, Tokenizer()


@dataclass
class TeacherDraw:
    """The teacher answers with the number of the edit, of which it is as sure as that is large."""

    examples: Sequence[Example] = tuple(EXAMPLES)
    step: int = 0
    asked: list[Example] = field(default_factory=list)
    notes: dict[str, float] = field(default_factory=dict)

    def uniform(self, name: str) -> float:
        return keyed_uniform(1, self.step, name)

    def responses(self, examples: Sequence[Example], view: str) -> list[Rollout]:
        assert view == "teacher"
        self.asked = list(examples)
        return [
            Rollout(e.id, e.prompt_ids, (int(e.id.split("~")[1]),), view, example=e)
            for e in examples
        ]

    def divergences(self, rows: Sequence[Rollout], view: str) -> list[list[float]]:
        assert view == "teacher"
        return [[10.0 - row.response_ids[0]] for row in rows]

    def target_log_probs(self, rows: Sequence[Rollout], view: str) -> list[list[float]]:
        assert view == "teacher"
        return [[float(row.response_ids[0])] for row in rows]

    def note(self, name: str, value: float) -> None:
        self.notes[name] = value


def drawn(**settings: Any) -> tuple[list[Rollout], TeacherDraw]:
    source, draw = FromHardest(**settings), TeacherDraw()
    source.begin(Given())  # type: ignore[arg-type]
    return source.rollouts(draw), draw  # type: ignore[arg-type]


def test_each_example_is_learned_once_edited_or_as_it_is() -> None:
    rows, draw = drawn(share=0.5, edits=6)
    assert sorted((row.id.split("~")[0] for row in rows), key=int) == [e.id for e in EXAMPLES]
    edited = [row for row in rows if row.origin == "teacher"]
    assert 4 < len(edited) < 16
    plain = [row for row in rows if row.origin == "dataset"]
    assert all(row.response_ids == (9, 2) for row in plain)
    asked = {row.id.split("~")[0]: [] for row in edited}  # type: ignore[var-annotated]
    for example in draw.asked:
        asked[example.id.split("~")[0]].append(int(example.id.split("~")[1]))
    for row in edited:
        numbers = sorted(asked[row.id.split("~")[0]])
        # The teacher is surer of a larger number, the student closer to it.
        assert row.response_ids[0] == numbers[len(numbers) // 2]
        assert row.prompt_ids != EXAMPLES[int(row.id.split("~")[0])].prompt_ids
        assert len(row.prompt_ids) <= 3
    assert draw.notes["hardest/divergence"] >= draw.notes["hardest/of_all"] - 1


@pytest.mark.parametrize(("share", "edited"), [(0.0, 0), (1.0, 20)])
def test_the_share_of_edited_rows(share: float, edited: int) -> None:
    rows, _ = drawn(share=share, edits=40)  # many of which are none or too long
    assert sum(row.origin == "teacher" for row in rows) == edited


def test_it_says_what_it_needs() -> None:
    source = FromHardest()
    assert source.uses_teacher
    assert source.gives_samples
    assert set(source.origins or ()) == {"dataset", "teacher"}
    assert set(source.views) == {"teacher", "student"}
