"""The table of `fill` and `demo`, or what is missing of it."""

from functools import partial
from typing import TYPE_CHECKING, Any

from kdbench.cli.answer import VerbAnswer
from kdbench.cli.next_command import after_fill
from kdbench.cli.shown.listing import list_lines
from kdbench.cli.shown.table import (
    print_lines,
    print_table,
    side_by_side_document,
    table_document,
)
from kdbench.system.console import say
from kdbench.system.layout import output_width

if TYPE_CHECKING:
    from kdbench.filling.filled import Filled


def filled_answer(filled: "Filled", code: int) -> VerbAnswer:
    """The answer of `fill` and `demo`.

    Args:
        filled: The outcome.
        code: Exit code.
    """
    following = "" if filled.table is None else after_fill(filled.table.parent)
    return VerbAnswer(
        partial(_show, filled), partial(_document, filled), code=code, following=following
    )


def _show(filled: "Filled") -> None:
    if filled.drawn is not None:
        print_table(filled.drawn, f"a wider terminal, a pipe, or {filled.table}")
        say("")
    if filled.published is not None:
        print_lines(filled.published)
        say("")
    if filled.mechanisms is not None:
        print_lines(filled.mechanisms)
        say("")
    if filled.planned and output_width() is not None:
        _show_plan(filled)
        return
    for line in filled.notes.splitlines():
        say(line)


def _show_plan(filled: "Filled") -> None:
    """The lines of the dry run, with the needs of each node below their start."""
    lines = filled.notes.splitlines()
    say(lines[0])
    rows = [(f"  {node.status}", node.key, node.estimate, node.needed) for node in filled.planned]
    for line in [*list_lines(rows, output_width()), *lines[1 + len(filled.planned) :]]:
        say(line)


def _document(filled: "Filled") -> dict[str, Any]:
    document: dict[str, Any] = {"failed": filled.failed, "file": filled.table}
    if filled.drawn is not None:
        document |= table_document(filled.drawn)
    if filled.mechanisms is not None:
        from kdbench.filling.mechanism_table import notes

        table = filled.mechanisms
        document |= {"mechanisms": table.records(), "mechanism_notes": notes(table)}
    if filled.published is not None:
        document |= {"published": side_by_side_document(filled.published)}
    if filled.drawn is not None:
        return document
    document |= {"dry_run": not filled.failed, "lines": filled.notes.splitlines()}
    return document | ({"nodes": filled.planned} if filled.planned else {})
