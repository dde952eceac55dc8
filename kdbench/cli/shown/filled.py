"""The table of `fill` and `demo`, or what is missing of it."""

from functools import partial
from typing import TYPE_CHECKING, Any

from kdbench.cli.answer import Answer
from kdbench.cli.next_command import after_fill
from kdbench.cli.shown.table import print_table, table_document
from kdbench.system.console import say

if TYPE_CHECKING:
    from kdbench.filling.table import Filled


def filled_answer(filled: "Filled", code: int) -> Answer:
    """The answer of `fill` and `demo`.

    Args:
        filled: The outcome.
        code: Exit code.
    """
    following = "" if filled.table is None else after_fill(filled.table.parent)
    return Answer(
        partial(_show, filled), partial(_document, filled), code=code, following=following
    )


def _show(filled: "Filled") -> None:
    if filled.drawn is not None:
        print_table(filled.drawn)
        say("")
    for line in filled.notes.splitlines():
        say(line)


def _document(filled: "Filled") -> dict[str, Any]:
    document: dict[str, Any] = {"failed": filled.failed, "file": filled.table}
    if filled.drawn is not None:
        return {**document, **table_document(filled.drawn)}
    return {**document, "dry_run": not filled.failed, "lines": filled.notes.splitlines()}
