"""A comparison as a pull-request comment: found again by its hidden marker, and never too long."""

import re
from collections.abc import Iterable, Mapping

from kdbench.comparing.model import Comparison, Row, WorstPrompt
from kdbench.comparing.outputs.words import cells, explained, header, said_loss, worst
from kdbench.comparing.verdict import fails
from kdbench.text import escape_md

LIMIT = 65_000  # bytes; GitHub takes 65,536 characters of a comment
Texts = Mapping[tuple[str, str], tuple[str, str]]
_SHOWN = 10  # worst prompts
_CUT = 400  # characters of a response
_WORD = 200  # characters of a name
_FOLDS = 20_000  # bytes that the folds may take from the table


def marker(base: str) -> str:
    """The hidden line by which a comment is found again, one for each gate."""
    return f"<!-- kdbench regress: {re.sub(r'[^A-Za-z0-9._]+', '-', base)[:_WORD].strip('-')} -->"


def markdown(comparison: Comparison, name: str, texts: Texts | None = None) -> str:
    """Fewer than 65,000 bytes of Markdown; model text is escaped.

    Args:
        comparison: what to say.
        name: of the gate, for the marker.
        texts: the responses of base and new run, by task and prompt, where they are known.
    """
    head = [
        marker(name),
        f"### kdbench: {_short(str(comparison.decision))}",
        "",
        f"{_short(comparison.new)} against {_short(comparison.base)}",
        "",
    ]
    folds = _folds(comparison, texts or {})
    room = LIMIT - 1 - _size([*head, *folds])
    return "".join(f"{line}\n" for line in [*head, *_table(comparison, room), *folds])


def _size(lines: Iterable[str]) -> int:
    return sum(len(line.encode()) + 1 for line in lines)


def _short(text: str) -> str:
    return escape_md(text if len(text) <= _WORD else f"{text[: _WORD - 1]}…")


def _table(comparison: Comparison, room: int) -> list[str]:
    """The table's lines, failing rows first where not all of them fit."""
    if not comparison.rows:
        return []
    titles = header(comparison)
    lines = [_line(titles), _line(["---", "---", *["---:"] * (len(titles) - 3), "---"])]
    rows = list(comparison.rows)
    drawn = [_line([*map(_short, cells(row)[:-1]), _verdict(row, comparison)]) for row in rows]
    last = f"{len(rows)} of {len(rows)} more rows are in the JSON file."
    if _size([*lines, *drawn, "", last, ""]) <= room:
        return [*lines, *drawn, ""]
    order = sorted(range(len(rows)), key=lambda at: not fails(rows[at], comparison.rules))
    room -= _size([*lines, "", last, ""])
    for shown, at in enumerate(order):
        room -= _size([drawn[at]])
        if room < 0:
            left = len(rows) - shown
            return [*lines, "", f"{left} of {len(rows)} more rows are in the JSON file.", ""]
        lines.append(drawn[at])
    return [*lines, ""]


def _verdict(row: Row, comparison: Comparison) -> str:
    return f"**{row.verdict}**" if fails(row, comparison.rules) else row.verdict


def _line(words: Iterable[str]) -> str:
    return f"| {' | '.join(words)} |"


def _folds(comparison: Comparison, texts: Texts) -> list[str]:
    found: list[str] = []
    remarks = [*(problem.text for problem in comparison.problems), *comparison.notes]
    if remarks:
        found += _fold(f"Remarks ({len(remarks)})", [f"- {_short(one)}" for one in remarks])
    if lost := worst(comparison.rows, _SHOWN):
        items = [item for one in lost for item in _lost(*one, texts)]
        found += _fold("Prompts that lost most", items)
    if comparison.rows:
        said = [f"- {_short(one)}" for one in explained(comparison)]
        found += _fold("How it was judged", said)
    return found


def _fold(title: str, items: list[str]) -> list[str]:
    """A fold of what fits."""
    room, kept = _FOLDS, []
    for item in items:
        room -= _size([item])
        if room < 0:
            kept.append("- …")
            break
        kept.append(item)
    return [f"<details><summary>{title}</summary>", "", *kept, "", "</details>"]


def _lost(row: Row, prompt: WorstPrompt, texts: Texts) -> list[str]:
    lines = [f"- {_short(said_loss(row, prompt))}"]
    if both := texts.get((row.task, prompt.id)):
        for side, text in zip(("base", "new"), both, strict=True):
            cut = text if len(text) <= _CUT else f"{text[:_CUT]}…"
            lines.append(f"  - {side}: {escape_md(cut) or 'nothing'}")
    return lines
