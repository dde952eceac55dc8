"""A comparison as a pull-request comment, with a hidden marker to find it and a limited length."""

import re
from collections.abc import Iterable

from kdbench.comparing.model import ComparedRow, Comparison, WorstPrompt
from kdbench.comparing.outputs.case import case_lines
from kdbench.comparing.outputs.phrases import (
    cells,
    header,
    largest_losses,
    loss_line,
    method_lines,
    undecided_lines,
)
from kdbench.comparing.verdict import fails
from kdbench.comparing.word_diff import DiffSpan
from kdbench.text import escape_comment

LIMIT = 65_000
"""Bytes of a comment; GitHub accepts 65,536 characters."""

_SHOWN_LOSSES = 10
_TEXT_LENGTH = 400  # characters
_NAME_LENGTH = 200  # characters
_BAR = escape_comment("|")
_SECTION_LIMIT = 20_000  # bytes of a folded section


def marker(gate: str) -> str:
    """The hidden line that identifies the comment of a gate.

    Args:
        gate: Name of the gate.
    """
    name = re.sub(r"[^A-Za-z0-9._]+", "-", gate)[:_NAME_LENGTH].strip("-")
    return f"<!-- kdbench regress: {name} -->"


def markdown(comparison: Comparison, gate: str) -> str:
    """Markdown of fewer than 65,000 bytes, in which names and responses are escaped.

    Args:
        comparison: Comparison to write.
        gate: Name of the gate, for the marker.
    """
    head = [
        marker(gate),
        f"### kdbench: {_short(str(comparison.decision))}",
        "",
        f"{_short(comparison.new)} against {_short(comparison.base)}",
        "",
        *([_short(comparison.scope.sentence), ""] if comparison.rows else []),
    ]
    undecided = [f"- {_short(line)}" for line in undecided_lines(comparison)]
    sections = [*undecided, *[""] * bool(undecided), *_sections(comparison)]
    room = LIMIT - 1 - _size([*head, *sections])
    return "".join(f"{line}\n" for line in [*head, *_table(comparison, room), *sections])


def _size(lines: Iterable[str]) -> int:
    return sum(len(line.encode()) + 1 for line in lines)


def _short(text: str) -> str:
    return escape_comment(text if len(text) <= _NAME_LENGTH else f"{text[: _NAME_LENGTH - 1]}…")


def _table(comparison: Comparison, room: int) -> list[str]:
    """The lines of the table, failing rows first if not all rows fit into `room` bytes."""
    if not comparison.rows:
        return []
    titles = header(comparison)
    lines = [_line(titles), _line(["---", "---", *["---:"] * (len(titles) - 3), "---"])]
    rows = list(comparison.rows)
    drawn = [_line([*map(_short, cells(row)[:-1]), _verdict(row, comparison)]) for row in rows]
    longest_note = _hidden_rows(len(rows), len(rows))
    if _size([*lines, *drawn, "", longest_note, ""]) <= room:
        return [*lines, *drawn, ""]
    failing_first = sorted(
        range(len(rows)), key=lambda index: not fails(rows[index], comparison.rules)
    )
    room -= _size([*lines, "", longest_note, ""])
    for shown, index in enumerate(failing_first):
        room -= _size([drawn[index]])
        if room < 0:
            return [*lines, "", _hidden_rows(len(rows) - shown, len(rows)), ""]
        lines.append(drawn[index])
    return [*lines, ""]


def _hidden_rows(hidden: int, total: int) -> str:
    return f"{hidden} of {total} rows are not shown; the JSON file has all of them."


def _verdict(row: ComparedRow, comparison: Comparison) -> str:
    return f"**{row.verdict}**" if fails(row, comparison.rules) else row.verdict


def _line(texts: Iterable[str]) -> str:
    return f"| {' | '.join(texts)} |"


def _sections(comparison: Comparison) -> list[str]:
    """The folded sections: notes, largest losses, method."""
    lines: list[str] = []
    notes = [*(problem.text for problem in comparison.problems), *comparison.notes]
    if notes:
        lines += _section(f"Notes ({len(notes)})", [f"- {_short(note)}" for note in notes])
    if losses := largest_losses(comparison.rows, _SHOWN_LOSSES):
        items = [item for loss in losses for item in _loss(*loss)]
        lines += _section("Prompts with the largest losses", items)
    if comparison.rows:
        method = [f"- {_short(line)}" for line in method_lines(comparison)]
        lines += _section("How the rows were tested", method)
    return lines


def _section(title: str, items: list[str]) -> list[str]:
    """A folded section with as many items as fit."""
    room, kept = _SECTION_LIMIT, []
    for item in items:
        room -= _size([item])
        if room < 0:
            kept.append("- …")
            break
        kept.append(item)
    return [f"<details><summary>{title}</summary>", "", *kept, "", "</details>"]


def _loss(row: ComparedRow, prompt: WorstPrompt) -> list[str]:
    lines = case_lines(row, prompt, _TEXT_LENGTH)
    return [
        f"- {_short(loss_line(row, prompt))}",
        *(f"  - {line.text(_marked)}" for line in lines),
    ]


def _marked(span: DiffSpan) -> str:
    """A span as GitHub renders it: what is gone struck through, what is new underlined."""
    # Spaces at the ends of a span separate words.
    text = escape_comment(f"|{span.text}|")[len(_BAR) : -len(_BAR)]
    element = {"gone": "del", "new": "ins"}.get(span.kind)
    return f"<{element}>{text}</{element}>" if element else text
