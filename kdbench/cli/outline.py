"""Sections of a dry run as lines of at most 80 columns."""

from collections.abc import Iterator, Sequence

from kdbench.system.layout import pieces, wrapped
from kdbench.system.outline import Fact, Section

_WIDTH = 80
_COLUMN = 14  # where values begin
_LONGEST = 20  # characters of a name beside its value
_QUOTE = "    │ "


def outline_lines(sections: Sequence[Section]) -> Iterator[str]:
    """The lines of sections; a text keeps its lines and spaces, and its control characters show.

    Args:
        sections: What to show.
    """
    for number, section in enumerate(sections):
        if number:
            yield ""
        yield from _wrapped(_escaped(section.title), "", "  ")
        names = [_escaped(fact.name) for fact in section.facts if not fact.is_text]
        column = max(
            _COLUMN, 4 + max([len(name) for name in names if len(name) <= _LONGEST] or [0])
        )
        for fact in section.facts:
            yield from _text_lines(fact) if fact.is_text else _fact_lines(fact, column)


def _fact_lines(fact: Fact, column: int) -> Iterator[str]:
    start = f"  {_escaped(fact.name)}"
    if len(start) > column - 2:  # a long name has a line of its own
        yield from _wrapped(start.strip(), "  ", "  ")
        start = ""
    value = _escaped(" ".join(fact.value.split()))
    yield from _wrapped(value, start.ljust(column), " " * column)


def _text_lines(fact: Fact) -> Iterator[str]:
    if fact.name:
        yield from _wrapped(_escaped(fact.name), "  ", "  ")
    for line in fact.value.split("\n"):
        for piece in pieces(_escaped(line), _WIDTH - len(_QUOTE)):
            yield f"{_QUOTE}{piece}".rstrip()


def _wrapped(text: str, first: str, others: str) -> Iterator[str]:
    """The text in lines, broken between words, and within a word that fills a line."""
    for number, line in enumerate(wrapped(text, _WIDTH - len(others))):
        yield f"{others if number else first}{line}".rstrip()


def _escaped(text: str) -> str:
    """The text with escapes for what a terminal would obey or not show."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
