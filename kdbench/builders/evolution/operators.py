"""The operators, and what a model is asked for each."""

import re
from functools import cache
from pathlib import Path

from kdbench.builders.overlap.words import words_of

OPERATORS = (
    "add_constraint",
    "deepen",
    "concretise",
    "more_reasoning",
    "complicate_input",
    "breadth",
)
_PROMPTS = Path(__file__).parent / "prompts"
_LABEL = re.compile(r"(?:(?:changed|invented|new)\s+)?task\s*:\s*", re.I)
_QUOTES = {'"': '"', "“": "”", "'": "'", "`": "`"}
_RUN = 5  # words of a template in a row that are no chance
_MARKS = (
    *("changed task", "invented task", "original task", "given task", "task below"),
    *("the task is", "carry it out", "ten to twenty words"),
)
"""Words about the rewriting, which no task for an assistant has."""


def question_for(operator: str, prompt: str) -> str:
    """What a model is asked, so that it writes the evolved prompt.

    Args:
        operator: One of `OPERATORS`.
        prompt: The prompt to evolve.
    """
    return _template(operator).replace("{prompt}", prompt)


def question_of_sameness(parent: str, prompt: str) -> str:
    """What a model is asked about two prompts: whether they ask the same."""
    before, _, after = _template("same").partition("{prompt}")
    return before.replace("{parent}", parent) + prompt + after


def written(text: str) -> str:
    """The prompt in what a model wrote, without the label and the quotes around it."""
    text = _LABEL.sub("", text.strip(), count=1) if _LABEL.match(text.strip()) else text.strip()
    inside = text[1:-1]
    if len(text) > 1 and _QUOTES.get(text[0]) == text[-1] and not {text[0], text[-1]} & {*inside}:
        return inside.strip()
    return text


def leaked(text: str, parent: str) -> str | None:
    """Words of a template in an evolved prompt that its parent lacks; None if there are none."""
    words, before = f" {' '.join(words_of(text))} ", f" {' '.join(words_of(parent))} "
    for run in (*_MARKS, *_runs()):
        if f" {run} " in words and f" {run} " not in before:
            return run
    return None


@cache
def _template(name: str) -> str:
    return (_PROMPTS / f"{name}.txt").read_text(encoding="utf-8").strip()


@cache
def _runs() -> tuple[str, ...]:
    """The runs of words of all templates."""
    runs: dict[str, None] = {}
    for operator in OPERATORS:
        for part in _template(operator).split("{prompt}"):
            words = words_of(part)
            for start in range(len(words) - _RUN + 1):
                runs[" ".join(words[start : start + _RUN])] = None
    return tuple(runs)
