"""The comparison table on a terminal: it fits the width, and says what it left out."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from kdbench.system.layout import (
    ErrorKind,
    Fitted,
    GridCell,
    GridLine,
    NumberCell,
    fit,
    left_out_note,
    wrapped,
)
from kdbench.tables.model import Cell, Content
from kdbench.text import printable

if TYPE_CHECKING:
    from rich.text import Text

_KIND = 1  # index of the column that tells measured rows from reported ones
ERROR_KEYS = "error=ci, error=sd or error=both, a wider terminal, a pipe, or format=csv"


def terminal_lines(table: Content, width: int | None, way: str = ERROR_KEYS) -> list["Text"]:
    """Aligned columns, a title above each group, and the notes.

    Args:
        table: The table.
        width: Columns of the terminal; None for no limit.
        way: What shows the error bars for which there is no room.
    """
    from rich.text import Text

    all_measured = all(row.kind == "measured" for row in table.rows)
    fitted = fit(
        list(_grid(table)),
        (0, _KIND),
        width,
        fixed=2,
        spare=(_KIND,) if all_measured else (),
        keep_errors=table.keeps_errors,
    )
    lines = [*fitted.lines, Text("")]
    for note in _notes(table, fitted, way):
        parts = wrapped(printable(note), width, "  ", whole_words=True)
        lines += map(Text, parts)
    return lines


def _grid(table: Content) -> Iterator[GridLine]:
    yield ["", "", *map(printable, table.columns)]
    for group in table.groups:
        yield printable(group.title)
        if group.measured:
            counts = [group.prompts(column) for column in range(len(table.columns))]
            yield ["  prompts", "", *counts]
        for row in group.rows:
            cells = [_cell(table, cell) for cell in row.cells]
            yield [f"  {printable(row.label)}", table.kind_of(row), *cells]


def _cell(table: Content, cell: Cell | None) -> GridCell:
    if cell is None:
        return ""
    value, *errors = table.parts(cell)
    mark = f" {cell.mark}" * bool(cell.mark) + "*" * cell.best
    kinds: list[tuple[ErrorKind, str]] = [
        ("deviation" if text.startswith("±") else "interval", text) for text in errors
    ]
    return NumberCell(value, tuple(kinds), mark, "bold" * cell.best)


def _notes(table: Content, fitted: Fitted, way: str) -> Sequence[str]:
    sources = [f"[{number}] {source}" for number, source in enumerate(table.sources(), start=1)]
    hidden = {"interval": "Brackets hold", "deviation": "± is the"}
    starts = tuple(hidden[kind] for kind in fitted.dropped)
    notes = [note for note in table.notes(best="*") if not (starts and note.startswith(starts))]
    left_out = left_out_note(fitted.dropped, way)
    lines = [*([left_out] if left_out else []), *notes, *table.verdicts()]
    if table.origins():
        lines.append("format=json, csv, md or html also give each row's run, seeds and command.")
    return [*lines, *sources, *table.row_notes()]
