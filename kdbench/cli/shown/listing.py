"""Lists of names with what they are: text whose last column wraps, and JSON."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kdbench.cli.answer import VerbAnswer
from kdbench.system.console import say
from kdbench.system.layout import output_width, wrapped
from kdbench.text import aligned, printable

_LEAST = 24  # cells of the last column; below, it has lines of its own
_INDENT = "    "


def list_answer(
    entries: Sequence[Mapping[str, Any]], rows: Sequence[Sequence[str]], notes: Sequence[str] = ()
) -> VerbAnswer:
    """The answer of a verb that lists what is installed.

    Args:
        entries: What is listed, for JSON.
        rows: The same as rows of equally many texts, the longest ones last.
        notes: Sentences below them.
    """

    def show() -> None:
        for line in list_lines(rows, output_width()):
            say(line)
        for note in notes:
            for line in wrapped(printable(note), output_width(), "  "):
                say(line)

    return VerbAnswer(show, lambda: {"entries": entries, "notes": notes})


def family_lines(
    entries: Sequence[Mapping[str, Any]], titles: Mapping[str, str], width: int | None
) -> Iterator[str]:
    """What is installed, as lines under the titles of its families.

    Args:
        entries: `name`, `family`, `description` and `parts` (texts by name) of each, family by
            family.
        titles: Titles of the families.
        width: Columns of the terminal; None for no limit.
    """
    family = None
    for entry in entries:
        if entry["family"] != family:
            if family is not None:
                yield ""
            family = entry["family"]
            yield titles[family]
        yield from wrapped(f"{entry['name']}  {entry['description']}", width, _INDENT)
        yield from list_lines([("", *part) for part in entry["parts"].items()], width)


def list_lines(rows: Sequence[Sequence[str]], width: int | None) -> Iterator[str]:
    """Rows as lines of a width; the last text of a row continues below its start.

    Args:
        rows: Rows of equally many texts.
        width: Columns of the terminal; None for no limit.
    """
    from rich.cells import cell_len

    if not rows:
        return
    rows = [[printable(text) for text in row] for row in rows]
    starts = aligned([row[:-1] for row in rows], left=range(len(rows[0]) - 1))
    column = max(map(cell_len, starts)) + 2
    for start, row in zip(starts, rows, strict=True):
        if width is None or column + cell_len(row[-1]) <= width:
            yield f"{start}{' ' * (column - cell_len(start))}{row[-1]}".rstrip()
        elif width - column >= max(_LEAST, *map(cell_len, row[-1].split())):
            first, *rest = wrapped(row[-1], width - column)
            yield f"{start}{' ' * (column - cell_len(start))}{first}"
            yield from (" " * column + line for line in rest)
        else:
            yield from wrapped(start, width, _INDENT)
            yield from (
                _INDENT + line for line in wrapped(row[-1], width - len(_INDENT), whole_words=True)
            )
