"""What a dry run shows: sections of facts, which the command line prints."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from kdbench.text import shortened


class Fact(NamedTuple):
    """A line of a section.

    Attributes:
        name: What it is about.
        value: What it is.
        is_text: Whether the value is text to show as it is, with its lines and spaces.
    """

    name: str
    value: str
    is_text: bool = False


@dataclass(frozen=True)
class Section:
    """A part of a dry run.

    Attributes:
        title: What it is about.
        facts: Its lines.
    """

    title: str
    facts: tuple[Fact, ...]


def plain_fields(fields: Mapping[str, Any]) -> str:
    """Fields and values as one types them: `top_k=0 seeds=10,20`."""
    return " ".join(f"{key}={shortened(_plain(value), 200)}" for key, value in fields.items())


def excerpt(text: str, first: int = 1500, last: int = 500) -> str:
    """A text of which the middle is left out if it is long.

    Args:
        text: The text.
        first: Number of characters to keep from the start.
        last: Number of characters to keep from the end.
    """
    left_out = len(text) - first - last
    if left_out <= 0:
        return text
    return f"{text[:first]}\n… {left_out} characters …\n{text[-last:]}"


def _plain(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return ",".join(f"{key}={_plain(item)}" for key, item in value.items())
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
