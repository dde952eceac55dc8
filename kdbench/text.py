"""Text for people: decimals, signs, aligned columns, and escaping."""

import re
from collections.abc import Collection, Sequence

AVERAGE = "AVG"
"""Name of the column and row that hold the unweighted mean over tasks."""

NO_CATEGORY = "(none)"
"""What prompts without a category are called where others have one."""

DECIMALS = {
    "points": 2,
    "tokens": 1,
    "rate": 3,
    "p-value": 3,
    "nats": 3,
    "bits": 3,
    "task's own": 3,
}
"""Number of decimals shown, by unit; two for other units."""


def signed(number: float, decimals: int) -> str:
    """A number with its sign; zero is never negative."""
    return f"{round(number, decimals) + 0.0:+.{decimals}f}"


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """A number of things: `1 sample`, `2 samples`, `0 samples`.

    Args:
        number: How many.
        noun: What they are, in the singular.
        plural: The plural; by default the singular with an s.
    """
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def duration(seconds: float) -> str:
    """A rounded duration: `40 s`, `12 min`, `3.5 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def aligned(rows: Sequence[Sequence[str]], left: Collection[int] = ()) -> list[str]:
    """Lines of a table whose columns are two spaces apart.

    Args:
        rows: Rows of cells; every row has the same number of them.
        left: Indices of left-aligned columns; the others are right-aligned.
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
    """The text as one line, without what a terminal obeys: control and bidi characters."""
    if text.isprintable():
        return text.rstrip()
    spaced = "".join(" " if char.isspace() else char for char in text.rstrip())
    return "".join(char for char in spaced if char.isprintable())


def without_controls(text: str) -> str:
    """The text with its spaces and lines, but without control and bidi characters."""
    return "".join(char for char in text if char.isprintable() or char in "\n\t")


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
    """The text as one line for a cell of a Markdown table, with markup escaped."""
    return visible(text).translate(_MARKUP)


_MARKUP = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", **{char: f"\\{char}" for char in r"\`*_[]|~#$"}}
)


_LINK_STARTS = re.compile(
    r"(?<![\w/])@(?=\w)|\b(?:https?|ftp)(?=:)|\bwww(?=\.)|\bGH(?=-\d)", re.IGNORECASE
)


def escape_comment(text: str) -> str:
    """The text for a comment on GitHub: escaped, and without mentions and links.

    An invisible space after the start of each keeps GitHub from notifying people or linking.
    """
    return _LINK_STARTS.sub(lambda match: f"{match[0]}&#8203;", escape_md(text))


def cell_text(text: str) -> str:
    """The text for a cell of a CSV file: a spreadsheet takes it for no formula."""
    text = printable(text)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def with_short_words(text: str) -> str:
    """The text, in which words are cut that are longer than any name of a file."""
    return re.sub(r"[^\s/]{256,}", lambda match: shortened(match[0]), text)


def shortened(text: str, longest: int = 120) -> str:
    """The text, cut to a length that a message can hold."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
