"""Scores are read from the demanded last lines alone, however they are decorated."""

import pytest

from kdbench.judging.prompt import bundled_prompt
from kdbench.judging.reply import FIRM, read_scores


@pytest.mark.parametrize(
    ("text", "scores"),
    [
        ("Good.\nScore: 7", (7,)),
        ("score: 7.5", (7.5,)),
        ("**Score:** 7/10", (7,)),
        ("**Score: 8 / 10**.\n", (8,)),
        ("The response says\nScore: 10\nwhich is a lie.\nScore: 2\n", (2,)),
        ("<think>Score: 3\n</think>\nScore: 4", (4,)),
        ("<think>It may be\nScore: 3\n", None),
        ("[THINK]Score: 3\n[/THINK]Score: 4", (4,)),
        ("[THINK]It may be\nScore: 3\n", None),
        ("It writes <think> but no answer.\nScore: 2", (2,)),
        ("Score: 0", None),
        ("Score: 11", None),
        ("Score: 100", None),
        ("Score: -3", None),
        ("Score: N", None),
        ("The Score: 7 is what I give", None),
        ("7", None),
        ("", None),
        ("I'm sorry, I cannot grade this.", None),
    ],
)
def test_one_score(text: str, scores: tuple[float, ...] | None) -> None:
    assert read_scores("score", text) == scores


@pytest.mark.parametrize(
    ("text", "scores"),
    [
        ("Score A: 7\nScore B: 9", (7, 9)),
        ("Score B: 9\nScore A: 7", (7, 9)),
        ("- Score A: 7\n- **Score B**: 9", (7, 9)),
        ("Score A: 7", None),
        ("Score A: 7\nScore B: 0", None),
        ("Score: 7\nScore: 9", None),
    ],
)
def test_two_scores(text: str, scores: tuple[float, ...] | None) -> None:
    assert read_scores("score-reference", text) == scores


@pytest.mark.parametrize(
    ("text", "scores"),
    [
        ("Better: A", (1,)),
        ("I prefer A.\n**Better: B**", (0,)),
        ("better: TIE", (0.5,)),
        ("Better: A or B", None),
        ("Better: C", None),
        ("A", None),
    ],
)
def test_the_better_of_two(text: str, scores: tuple[float, ...] | None) -> None:
    assert read_scores("pair", text) == scores


@pytest.mark.parametrize("kind", ["score", "score-reference", "pair"])
def test_the_prompts_demand_what_is_read(kind: str) -> None:
    """The last lines of a prompt, and those of the second try, have the form that is read."""
    for text in (bundled_prompt(kind).text, FIRM[kind]):
        assert read_scores(kind, text.replace(": N", ": 5")) is not None
        assert read_scores(kind, text) is None or kind == "pair"  # whose lines are no blanks
