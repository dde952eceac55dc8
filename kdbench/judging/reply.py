"""What a judge replies, and the scores or the preference that can be read from it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from kdbench.generate.thinking import ThinkingSplit, marks_in, split_thinking

Kind = Literal["score", "score-reference", "pair"]
"""What is asked: one score, the scores of a response and its reference, or the better of two."""

SCORES: Mapping[Kind, int] = {"score": 1, "score-reference": 2, "pair": 1}
"""Number of scores in a judgement of each kind."""

_NUMBER = r"(\d{1,2}(?:\.\d+)?)(?:\s*/\s*10)?"
_DECORATION = r"[\s*_`#>]*"  # Markdown around a line

FIRM: Mapping[Kind, str] = {
    "score": "Reply now with this one line and nothing else, with a number from 1 to 10 in place "
    "of N:\nScore: N",
    "score-reference": "Reply now with these two lines and nothing else, with numbers from 1 to 10 "
    "in place of N:\nScore A: N\nScore B: N",
    "pair": "Reply now with one of these three lines and nothing else:\nBetter: A\nBetter: B\n"
    "Better: tie",
}
"""What is added to a question whose first reply could not be read."""


@dataclass(frozen=True)
class Reply:
    """What came back for one question.

    Attributes:
        text: Text of the reply; empty if there is none.
        declined: Why the judge did not judge: `refused` (by the model or a filter), `too long`
            (the question does not fit); None if it replied.
        model: Name under which the server says it replied; None if it does not.
        prompt_tokens: Number of tokens of the question; None if unknown.
        reply_tokens: Number of tokens of the reply; None if unknown.
    """

    text: str
    declined: Literal["refused", "too long"] | None = None
    model: str | None = None
    prompt_tokens: int | None = None
    reply_tokens: int | None = None


def read_scores(kind: Kind, text: str) -> tuple[float, ...] | None:
    """Read what a reply concludes.

    The last line of the demanded form counts, so that a reason may quote others before it. Text up
    to the end of a judge's thinking does not count.

    Args:
        kind: What was asked.
        text: Text of the reply.

    Returns:
        The scores, 1 to 10, in the order shown; for a pair one number, 1 if the first response is
        better, 0 if the second, 0.5 for a tie. None if there is no such line, or if a score is out
        of range.
    """
    marks = marks_in(text)
    split = ThinkingSplit() if marks is None else split_thinking(text, marks)
    if split.unclosed:
        return None
    concluded = text[split.answer or 0 :]
    if kind == "pair":
        better = _last("Better", r"(A|B|tie)", concluded)
        return None if better is None else ({"a": 1.0, "b": 0.0, "tie": 0.5}[better.lower()],)
    titles = ("Score",) if kind == "score" else ("Score A", "Score B")
    numbers = [_last(title, _NUMBER, concluded) for title in titles]
    scores = tuple(float(number) for number in numbers if number is not None)
    if len(scores) < len(titles) or not all(1 <= score <= 10 for score in scores):
        return None
    return scores


def _last(title: str, value: str, text: str) -> str | None:
    start, end = rf"^\s*(?:[-+]\s)?{_DECORATION}", rf"{_DECORATION}\.?[\s*_`]*$"
    pattern = f"{start}{title}{_DECORATION}:{_DECORATION}{value}{end}"
    matches = re.findall(pattern, text, re.IGNORECASE | re.MULTILINE)
    return str(matches[-1]) if matches else None
