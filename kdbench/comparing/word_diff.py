"""Which words of two responses differ."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from kdbench.text import visible

_NO_SPACES = "\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"  # Thai, Lao, kana, Han
_WORD = re.compile(rf"\s|[{_NO_SPACES}]|[!-/:-@\[-`{{-~]|[^\s{_NO_SPACES}!-/:-@\[-`{{-~]+")
_LEAST_SAME = 0.25
"""Share of the longer text that two texts must have in common, or they count as unrelated."""

_MOST_WORDS = 20_000  # limits time and memory: their LCS takes a second
_ELLIPSIS = "…"


@dataclass(frozen=True)
class DiffSpan:
    """A run of words that both texts have, or only one of them.

    Attributes:
        kind: `same`, `gone` (only the base has it) or `new` (only the new run has it).
        text: The words, with the spaces between them.
    """

    kind: Literal["same", "gone", "new"]
    text: str


def word_diff(base: str, new: str) -> tuple[DiffSpan, ...]:
    """The words that differ between two texts, as a reader sees these.

    The alignment has as many words in common as possible (their longest common subsequence). Texts
    that have little in common are one change, since single words in common would only distract.

    Args:
        base: Text of the base.
        new: Text of the new run.

    Returns:
        Spans in order; those that are not `new` make up the base's text, those that are not `gone`
        the new run's.
    """
    from rapidfuzz.distance import LCSseq

    old_words, new_words = _WORD.findall(visible(base)), _WORD.findall(visible(new))
    whole = _spans([("gone", old_words), ("new", new_words)])
    if max(len(old_words), len(new_words)) > _MOST_WORDS:
        return whole
    parts: list[tuple[Literal["same", "gone", "new"], Sequence[str]]] = []
    for step in LCSseq.opcodes(old_words, new_words):
        old = old_words[step.src_start : step.src_end]
        if step.tag == "equal":
            parts.append(("same", old))
        else:
            parts += [("gone", old), ("new", new_words[step.dest_start : step.dest_end])]
    spans = _joined(_spans(parts))
    same = sum(len(span.text) for span in spans if span.kind == "same")
    return spans if same >= _LEAST_SAME * max(len(visible(base)), len(visible(new))) else whole


def _spans(
    parts: Sequence[tuple[Literal["same", "gone", "new"], Sequence[str]]],
) -> tuple[DiffSpan, ...]:
    return tuple(DiffSpan(kind, "".join(words)) for kind, words in parts if words)


def _joined(spans: Sequence[DiffSpan]) -> tuple[DiffSpan, ...]:
    """Spans without common ones between changes that hold no letter or digit."""
    joined: list[DiffSpan] = []
    gone = new = ""
    for place, span in enumerate(spans):
        inner = 0 < place < len(spans) - 1
        if span.kind == "same" and not (inner and not any(map(str.isalnum, span.text))):
            joined += _change(gone, new)
            joined.append(span)
            gone = new = ""
            continue
        gone += span.text if span.kind != "new" else ""
        new += span.text if span.kind != "gone" else ""
    return (*joined, *_change(gone, new))


def _change(gone: str, new: str) -> Iterator[DiffSpan]:
    if gone:
        yield DiffSpan("gone", gone)
    if new:
        yield DiffSpan("new", new)


def shortened_diff(spans: Sequence[DiffSpan], length: int) -> tuple[DiffSpan, ...]:
    """A difference around its changes, with an ellipsis where words are left out.

    Args:
        spans: The difference.
        length: Largest number of characters of each of the two texts, without ellipses.
    """
    texts = ("".join(s.text for s in spans if s.kind != side) for side in ("new", "gone"))
    if max(map(len, texts)) <= length:
        return tuple(spans)
    around = [_around(span, place, len(spans), length // 4) for place, span in enumerate(spans)]
    room = {"gone": length, "new": length}
    shown: list[DiffSpan] = []
    for span in around:
        sides = [side for side in room if span.kind in ("same", side)]
        left = min(room[side] for side in sides)
        if left <= 0 and span.kind == "same":
            break
        if left <= 0:
            continue
        cut = len(span.text) > left
        shown.append(replace(span, text=span.text[:left] + _ELLIPSIS) if cut else span)
        for side in sides:
            room[side] = 0 if cut else room[side] - len(span.text)
    return _closed(shown, around)


def _around(span: DiffSpan, place: int, count: int, context: int) -> DiffSpan:
    """A common span, of which only what stands beside a change is kept."""
    head = context if place > 0 else 0
    tail = context if place < count - 1 else 0
    if span.kind != "same" or len(span.text) <= head + tail:
        return span
    end = span.text[len(span.text) - tail :] if tail else ""
    return replace(span, text=f"{span.text[:head]}{_ELLIPSIS}{end}")


def _closed(shown: Sequence[DiffSpan], spans: Sequence[DiffSpan]) -> tuple[DiffSpan, ...]:
    """The shown spans, with an ellipsis at the end if spans after them are left out."""
    if len(shown) == len(spans) or (shown and shown[-1].text.endswith(_ELLIPSIS)):
        return tuple(shown)
    return (*shown, DiffSpan("same", _ELLIPSIS))
