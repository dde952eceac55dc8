"""Tables and lines of text that fit a width, counted in the cells of a terminal.

A table that is too wide loses spare columns, then intervals, then deviations over seeds; if that is
not enough, its columns move into blocks below each other. A cell always stays on one line.
"""

import os
import shutil
import sys
import textwrap
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from rich.text import Text

ErrorKind = Literal["interval", "deviation"]
_GAP = "  "
_NARROWEST_LABEL = 16
_LESS: tuple[tuple[ErrorKind, ...], ...] = (("interval",), ("interval", "deviation"))


@dataclass(frozen=True)
class NumberCell:
    """A number in a table; where the table is too wide, its errors are left out.

    Attributes:
        text: The number, or the title of a column of numbers.
        errors: Its errors by kind, in the order in which they follow it.
        mark: What directly follows all of it, such as `*`.
        style: Style of the number, such as `bold`.
    """

    text: str
    errors: tuple[tuple[ErrorKind, str], ...] = ()
    mark: str = ""
    style: str = ""

    def without(self, kinds: Collection[str]) -> str:
        """The text of the cell without errors of some kinds."""
        errors = [text for kind, text in self.errors if kind not in kinds]
        return " ".join([self.text, *errors]) + self.mark


GridCell: TypeAlias = str | NumberCell
GridLine: TypeAlias = str | Sequence[GridCell]
"""A row of cells, or a title that stands above rows."""


@dataclass(frozen=True)
class Fitted:
    """A table that was fitted.

    Attributes:
        lines: Its lines.
        dropped: Kinds of errors that it has and does not show.
        blocks: Number of blocks of columns.
    """

    lines: tuple["Text", ...]
    dropped: tuple[ErrorKind, ...] = ()
    blocks: int = 1


def output_width() -> int | None:
    """The columns of standard output: the terminal's, or `COLUMNS`; None without a limit.

    GNU readline, which pytest and IPython load, exports its terminal's `LINES` and `COLUMNS` to
    every child process. A pipe follows only a `COLUMNS` that somebody set without `LINES`.
    """
    if sys.stdout.isatty():
        return shutil.get_terminal_size((80, 24)).columns  # COLUMNS first
    columns = "" if "LINES" in os.environ else os.environ.get("COLUMNS", "")
    is_number = columns.isascii() and columns.isdecimal()
    return int(columns[:6]) or None if is_number else None


def fit(
    lines: Sequence[GridLine],
    left: Collection[int],
    width: int | None,
    *,
    fixed: int = 1,
    spare: Collection[int] = (),
    keep_errors: bool = False,
) -> Fitted:
    """Lay a table out within a width.

    Args:
        lines: Rows of equally many cells, the titles of the columns first, and titles between them.
        left: Indices of left-aligned columns; the others are right-aligned.
        width: Columns of the terminal; None for no limit.
        fixed: Number of first columns that every block repeats.
        spare: Indices of columns that are left out of a table that is too wide.
        keep_errors: Whether errors stay, however wide the table.
    """
    rows = [line for line in lines if not isinstance(line, str)]
    columns = list(range(len(rows[0])))
    if width is None or _total(rows, columns, ()) <= width:
        return Fitted(_drawn(lines, left, columns, (), _widths(rows, columns, ()), width))
    columns = [column for column in columns if column not in spare]
    dropped: tuple[ErrorKind, ...] = ()
    known = {kind for row in rows for cell in row for kind in _kinds(cell)}
    for less in () if keep_errors else _LESS:
        if _total(rows, columns, dropped) <= width:
            break
        dropped = tuple(kind for kind in less if kind in known)
    fixed -= sum(column < fixed for column in spare)
    widths = _widths(rows, columns, dropped)
    beside = sum(widths[column] + len(_GAP) for column in columns[1:fixed])
    label = max(_NARROWEST_LABEL, width // 2) - beside - len(_GAP)
    if _total(rows, columns, dropped) > width and label >= _NARROWEST_LABEL // 2:
        widths[columns[0]] = min(widths[columns[0]], label)
    blocks = _blocks(widths, fixed, width)
    drawn = [_drawn(lines, left, block, dropped, widths, width) for block in blocks]
    blank = _text("")
    joined = [line for block in drawn for line in (blank, *block)][1:]
    return Fitted(tuple(joined), dropped, len(blocks))


def wrapped(text: str, width: int | None, indent: str = "", whole_words: bool = False) -> list[str]:
    """A text in lines of a width, broken between words, and within a word that fills a line.

    Args:
        text: The text.
        width: Largest number of cells of a line; None for one line.
        indent: Start of each line but the first.
        whole_words: Whether a word that fills a line stays whole, as a path to copy should.
    """
    if width is None:
        return [text]
    room = max(1, width - len(indent))
    words = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False)
    lines = words or [""]
    if not whole_words:
        lines = [piece for line in lines for piece in pieces(line, room)]
    return [f"{indent if number else ''}{line}".rstrip() for number, line in enumerate(lines)]


def pieces(line: str, width: int) -> list[str]:
    """A line in pieces of a width, broken after a space if there is one."""
    from rich.cells import cell_len, chop_cells

    parts = [""]
    for word in line.replace(" ", " \0").split("\0"):
        if cell_len(parts[-1]) + cell_len(word.rstrip(" ")) <= width:
            parts[-1] += word
            continue
        parts += chop_cells(word, width)
    return [part for part in parts if part] or [""]


def left_out_note(
    dropped: Collection[str], way: str, interval: str = "95 % intervals"
) -> str | None:
    """One line on what a table does not show at its width, and how to see it.

    Args:
        dropped: Kinds of errors that were left out.
        way: What shows them, as in `a wider terminal`.
        interval: What its intervals are.
    """
    names = {"interval": interval, "deviation": "deviations over seeds (±)"}
    shown = [name for kind, name in names.items() if kind in dropped]
    return f"no room for {' and '.join(shown)}: see them with {way}" if shown else None


def _kinds(cell: GridCell) -> list[ErrorKind]:
    return [kind for kind, _ in cell.errors] if isinstance(cell, NumberCell) else []


def _plain(cell: GridCell, dropped: Collection[str]) -> str:
    return cell.without(dropped) if isinstance(cell, NumberCell) else cell


def _width_of(rows: Sequence[Sequence[GridCell]], column: int, dropped: Collection[str]) -> int:
    from rich.cells import cell_len

    return max(cell_len(_plain(row[column], dropped)) for row in rows)


def _total(
    rows: Sequence[Sequence[GridCell]], columns: Sequence[int], dropped: Collection[str]
) -> int:
    widths = [_width_of(rows, column, dropped) for column in columns]
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _widths(
    rows: Sequence[Sequence[GridCell]], columns: Sequence[int], dropped: Collection[str]
) -> dict[int, int]:
    return {column: _width_of(rows, column, dropped) for column in columns}


def _blocks(widths: dict[int, int], fixed: int, width: int) -> list[list[int]]:
    """The columns of each block: the fixed ones and as many others as fit, one at least."""
    columns = list(widths)
    first, others = columns[:fixed], columns[fixed:]
    blocks: list[list[int]] = [list(first)]
    for column in others:
        used = sum(widths[other] + len(_GAP) for other in blocks[-1])
        if len(blocks[-1]) > len(first) and used + widths[column] > width:
            blocks.append(list(first))
        blocks[-1].append(column)
    return blocks


def _drawn(
    lines: Sequence[GridLine],
    left: Collection[int],
    columns: Sequence[int],
    dropped: Collection[str],
    widths: dict[int, int],
    width: int | None,
) -> tuple["Text", ...]:
    rows = [line for line in lines if not isinstance(line, str)]
    drawn: list[Text] = []
    for line in lines:
        if isinstance(line, str):
            drawn += [_text(part, "bold") for part in wrapped(line, width, "  ")]
        else:
            style = "bold" if line is rows[0] else ""
            drawn.append(_row(line, left, columns, dropped, widths, style))
    return tuple(drawn)


def _row(
    row: Sequence[GridCell],
    left: Collection[int],
    columns: Sequence[int],
    dropped: Collection[str],
    widths: dict[int, int],
    style: str,
) -> "Text":
    from rich.cells import cell_len

    line = _text("")
    for place, column in enumerate(columns):
        cell = row[column]
        plain = _shortened(_plain(cell, dropped), widths[column])
        space = " " * (widths[column] - cell_len(plain))
        value = cell.text if isinstance(cell, NumberCell) else ""
        line.append(_GAP * (place > 0) + ("" if column in left else space))
        start = len(line)
        line.append(plain + (space if column in left else ""))
        if isinstance(cell, NumberCell) and cell.style and plain.startswith(value):
            line.stylize(cell.style, start, start + len(value))
    line.rstrip()
    if style:
        line.stylize(style)
    return line


def _shortened(text: str, width: int) -> str:
    """The text; one that is too long loses its middle, since names often differ at their ends."""
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) <= width:
        return text
    tail = ""
    for char in reversed(text):
        if cell_len(char + tail) > (width - 1) // 2:
            break
        tail = char + tail
    head = set_cell_size(text, width - 1 - cell_len(tail))
    return f"{head}…{tail}"


def _text(text: str, style: str = "") -> "Text":
    from rich.text import Text

    return Text(text, style, end="", no_wrap=True)
