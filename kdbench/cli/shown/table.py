"""`kdbench table`: draw, write or check the table."""

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kdbench.config import TableSettings
from kdbench.system.console import report_progress, say, say_styled
from kdbench.system.layout import output_width
from kdbench.system.outputs import STANDARD_OUTPUT, is_standard_output, is_stream, put_output

if TYPE_CHECKING:
    from kdbench.system.printed import PrintedTable
    from kdbench.tables import Table
    from kdbench.tables.side_by_side_table import SideBySide


@dataclass(frozen=True)
class DrawnTable:
    """A table that was drawn, and what became of its file.

    Attributes:
        settings: Keys of the verb.
        table: The table.
        form: Form in which it is written or shown.
        diff: How its file differed, as a unified diff; empty if it did not, or there is none.
        unshown: Tasks that have results but no column.
    """

    settings: TableSettings
    table: "Table | SideBySide"
    form: str
    diff: str
    unshown: tuple[str, ...]

    @property
    def is_stale(self) -> bool:
        """Whether `--check` finds a file that is not up to date."""
        return self.settings.check and bool(self.diff)

    def show(self) -> None:
        """Print the table, or what became of its file."""
        if self.unshown:
            tasks = ", ".join(self.unshown)
            report_progress(f"note: not shown: {tasks}; tasks= chooses the tasks")
        out = self.settings.out
        if out is None or is_standard_output(out):
            if self.form == "terminal":
                _print(self.table)
            else:
                put_output(STANDARD_OUTPUT, self.table.render(self.form))
        elif self.settings.check:
            sys.stdout.write(self.diff)
        elif not is_stream(out):
            say(f"{out}: {'written' if self.diff else 'up to date'}")

    def document(self) -> dict[str, Any]:
        """The table, for JSON."""
        out = self.settings.out
        known = {} if out is None or is_stream(out) else {"out": out, "changed": bool(self.diff)}
        return {**known, **_document(self.table), "not_shown": self.unshown}


def draw_table(settings: TableSettings) -> DrawnTable:
    """Draw the table; write its file unless `--check` only compares it.

    Args:
        settings: Keys of the verb.

    Raises:
        InputError: As for `build_table`, or for the file.
    """
    from kdbench.store.runs import stored_runs
    from kdbench.tables import build_side_by_side, build_table, unshown_tasks
    from kdbench.tables.write import form_of, stale_diff, whole_file

    form = form_of(settings.out, settings.format)
    runs = list(stored_runs(settings.results, in_parts=True))
    table: Table | SideBySide
    table = build_side_by_side(settings, runs) if settings.spread else build_table(settings, runs)
    unshown = tuple(unshown_tasks(settings, runs))
    out, diff = settings.out, ""
    if out is not None and is_stream(out) and not is_standard_output(out):
        put_output(out, table.render(form))
    elif out is not None and not is_stream(out):
        text = whole_file(out, form, table.render(form), settings.block)
        diff = stale_diff(out, text)
        if diff and not settings.check:
            put_output(out, text)
    return DrawnTable(settings, table, form, diff, unshown)


def _print(table: "Table | SideBySide") -> None:
    from kdbench.tables.side_by_side_table import SideBySide

    if isinstance(table, SideBySide):
        print_lines(table)
    else:
        print_table(table)


def _document(table: "Table | SideBySide") -> dict[str, Any]:
    from kdbench.tables.side_by_side_table import SideBySide

    if isinstance(table, SideBySide):
        return side_by_side_document(table)
    return table_document(table)


def print_table(table: "Table", way: str | None = None) -> None:
    """Print a table on standard output; on a terminal it fits, with bold for the best rows.

    Args:
        table: The table.
        way: What shows the error bars for which there is no room; None for keys of `table`.
    """
    from kdbench.tables.terminal import ERROR_KEYS, terminal_lines

    for line in terminal_lines(table, output_width(), way or ERROR_KEYS):
        say_styled(line)


def print_lines(table: "PrintedTable") -> None:
    """Print a table that draws its own lines on standard output; on a terminal it fits."""
    for line in table.lines(output_width()):
        say_styled(line)


def side_by_side_document(table: "SideBySide") -> dict[str, Any]:
    """Own scores next to published ones for JSON, and the notes."""
    from kdbench.tables.side_by_side_table import notes

    return {"title": table.found.title, "scores": table.records(), "notes": notes(table)}


def table_document(table: "Table") -> dict[str, Any]:
    """A table for JSON: an object for each cell, and the notes."""
    from kdbench.tables.tidy import tidy_cells

    return {
        "columns": table.columns,
        "cells": tidy_cells(table),
        "notes": [*table.notes(), *table.row_notes()],
        "sources": table.sources(),
    }
