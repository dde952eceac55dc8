"""A conclusion as text: for a terminal, and in Markdown."""

from collections.abc import Iterator, Sequence
from math import ceil, floor, log10

from kdbench.store.conclusions import (
    Conclusion,
    ConclusionCell,
    ConclusionColumn,
    ConclusionTable,
    Quantity,
)
from kdbench.system.layout import GridCell, NumberCell, fit, wrapped
from kdbench.text import escape_md, interval, printable, signed

_MOST_DECIMALS = 6


def terminal_lines(conclusion: Conclusion, width: int | None) -> Iterator[str]:
    """The lines of a conclusion on a terminal.

    Args:
        conclusion: The conclusion.
        width: Columns of the terminal; None for no limit.
    """

    def lines(text: str) -> Iterator[str]:
        yield from wrapped(printable(text), width, "  ", whole_words=True)

    yield from lines(f"{conclusion.title}: {conclusion.question}")
    for table in conclusion.tables:
        yield ""
        yield from lines(table.title)
        left = [place for place in range(len(table.columns)) if _is_text(table, place)]
        fitted = fit(list(_grid(table)), left, width)
        yield from (line.plain for line in fitted.lines)
        if fitted.dropped:
            yield from lines("no room for the 95 % intervals: see them in a wider terminal")
    yield ""
    for sentence in conclusion.sentences:
        yield from lines(sentence)
    yield ""
    for note in conclusion.notes:
        yield from lines(note)


def markdown(conclusion: Conclusion, pictures: Sequence[str] = ()) -> str:
    """A conclusion in Markdown, with pictures in a light and a dark form.

    Args:
        conclusion: The conclusion.
        pictures: File of the light picture and of the dark one; empty without a figure.
    """
    parts = [f"# {escape_md(conclusion.title)}", escape_md(conclusion.question)]
    parts += [escape_md(sentence) for sentence in conclusion.sentences]
    if pictures:
        light, dark = pictures
        parts.append(
            f'<picture><source media="(prefers-color-scheme: dark)" srcset="{dark}">'
            f'<img alt="{escape_md(conclusion.title)}" src="{light}"></picture>'
        )
    parts += [markdown_table(table) for table in conclusion.tables]
    parts += [escape_md(note) for note in conclusion.notes]
    settings = ", ".join(f"`{key}={value}`" for key, value in conclusion.settings.items())
    source = escape_md(f"Asked by: {conclusion.paper} (written from: {conclusion.basis}).")
    parts.append(f"{source} Settings: {settings}")
    return "\n\n".join(parts) + "\n"


def markdown_table(table: ConclusionTable) -> str:
    """A table in Markdown, with its title above."""
    titles = [_title(column) for column in table.columns]
    marks = [":--" if _is_text(table, place) else "--:" for place in range(len(titles))]
    rows = [
        [_markdown_cell(cell, column) for cell, column in zip(row, table.columns, strict=True)]
        for row in table.rows
    ]
    lines = [[*map(escape_md, titles)], marks, *rows]
    body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"**{escape_md(table.title)}**\n\n{body}"


def _is_text(table: ConclusionTable, place: int) -> bool:
    return all(not isinstance(row[place], Quantity) for row in table.rows)


def _grid(table: ConclusionTable) -> Iterator[list[GridCell]]:
    yield [printable(_title(column)) for column in table.columns]
    for row in table.rows:
        yield [_grid_cell(cell, column) for cell, column in zip(row, table.columns, strict=True)]


def _title(column: ConclusionColumn) -> str:
    return f"{column.title} ({column.unit})" if column.unit else column.title


def _grid_cell(cell: ConclusionCell, column: ConclusionColumn) -> GridCell:
    if not isinstance(cell, Quantity):
        return printable(cell or "")
    value, ends, p = quantity_texts(cell, column)
    return NumberCell(value, (("interval", ends),) if ends else (), f" {p}" if p else "")


def _markdown_cell(cell: ConclusionCell, column: ConclusionColumn) -> str:
    if not isinstance(cell, Quantity):
        return escape_md(cell or "")
    return " ".join(filter(None, quantity_texts(cell, column))).replace("<", "&lt;")


def quantity_texts(cell: Quantity, column: ConclusionColumn) -> tuple[str, str, str]:
    """A number as text: the value, its interval and its p-value, each empty without one.

    It has enough decimals to show on which side of 0 its interval lies.
    """
    decimals = column.decimals
    if column.signed and cell.low is not None and cell.high is not None:
        nearest = min(abs(cell.low), abs(cell.high))
        if cell.low * cell.high > 0 and nearest < 10**-decimals:
            decimals = min(_MOST_DECIMALS, ceil(-log10(nearest)))
    value = signed(cell.value, decimals) if column.signed else f"{cell.value:.{decimals}f}"
    p = "" if cell.p is None else f"p {_p_text(cell.p)}"
    return value, interval(cell.low, cell.high, decimals), p


def _p_text(p: float) -> str:
    return "< 0.0001" if p < 1e-4 else f"{p:.{max(2, min(4, 1 - floor(log10(p))))}f}"
