"""Interleaved samples as a source: what is recorded and logged, and what is refused."""

import pytest

from kdbench.errors import InputError
from kdbench.training.sources.interleaved import FromInterleaved
from kdbench.views.rollout import Example, Rollout

EXAMPLES = [Example("a", (3,), (1,)), Example("b", (4,), (1,))]
REPLACED = {"a": (0.0, 1.0, 0.0), "b": (1.0,)}


class Draw:
    examples = EXAMPLES

    def __init__(self):
        self.notes, self.rules = [], []

    def interleaved_responses(self, examples, rule):
        self.rules.append(rule)
        return [
            Rollout(e.id, e.prompt_ids, (7,) * len(REPLACED[e.id]), "student").with_recorded(
                replaced=REPLACED[e.id]
            )
            for e in examples
        ]

    def note(self, name, value):
        self.notes.append((name, value))


def test_the_log_has_the_share_of_the_students_tokens():
    draw = Draw()
    rows = FromInterleaved(3, "top_k").rollouts(draw)
    assert [row.recorded["replaced"] for row in rows] == [(0, 1, 0), (1,)]
    assert draw.notes == [("acceptance", 0.5)]
    assert (draw.rules[0].top_k, draw.rules[0].replacement) == (3, "top_k")


def test_a_step_without_examples_logs_nothing():
    draw = Draw()
    draw.examples = []
    assert FromInterleaved().rollouts(draw) == []
    assert draw.notes == []


def test_settings_without_a_meaning_are_refused():
    with pytest.raises(InputError, match="top_k=0"):
        FromInterleaved(0)
    with pytest.raises(InputError, match="must be teacher or top_k"):
        FromInterleaved(3, "student")
