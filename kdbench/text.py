"""Text for people: decimals, signs, aligned columns, and what must be escaped."""

import re
from collections.abc import Collection, Sequence

AVERAGE = "AVG"
"""The column and row of the plain mean over tasks."""

DECIMALS = {"points": 2, "tokens": 1, "rate": 3, "nats": 3}
"""Decimals shown of a number, by its unit; two for every other unit."""


def signed(number: float, decimals: int) -> str:
    """A number with its sign; zero is never negative."""
    return f"{round(number, decimals) + 0.0:+.{decimals}f}"


def aligned(rows: Sequence[Sequence[str]], left: Collection[int] = ()) -> list[str]:
    """Lines of a table whose columns are two spaces apart.

    Args:
        rows: cells; every row has the same number of them.
        left: columns aligned on the left; the others are aligned on the right.
    """
    from rich.cells import cell_len

    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = []
        for column, (text, width) in enumerate(zip(row, widths, strict=True)):
            space = " " * (width - cell_len(text))
            cells.append(text + space if column in left else space + text)
        lines.append("  ".join(cells).rstrip())
    return lines


def printable(text: str) -> str:
    """One line without the control characters that a terminal would obey."""
    spaced = "".join(" " if char.isspace() else char for char in text.rstrip())
    return "".join(char for char in spaced if char.isprintable())


def visible(text: str) -> str:
    """What a reader can see of a text: one line, single spaces, no control characters."""
    return " ".join(printable(text).split())


def excerpts(texts: Sequence[str], length: int) -> list[str]:
    """The visible part of several texts, cut so that it shows where they begin to differ.

    Args:
        texts: Texts to show together.
        length: Largest number of characters of each, without the ellipses.
    """
    shown = [visible(text) for text in texts]
    equal = [len(set(letters)) == 1 for letters in zip(*shown, strict=False)]
    same = [*equal, False].index(False) if len(shown) > 1 else 0
    start = max(0, same - length // 4) if same > length // 2 else 0
    return [
        f"{'…' * (start > 0)}{text[start : start + length]}{'…' * (len(text) > start + length)}"
        for text in shown
    ]


def escape_md(text: str) -> str:
    """Text for a cell of a Markdown table: no markup, no markers, one line."""
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|~#$])", r"\\\1", text)
