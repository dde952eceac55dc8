"""Text for people: numbers, columns, and what must be escaped."""

import re

DECIMALS = {"points": 2, "tokens": 1, "rate": 3, "nats": 3}


def escape_md(text: str) -> str:
    """For a cell of a Markdown table: no markup, no markers, one line."""
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|~#$])", r"\\\1", text)


def printable(text: str) -> str:
    """One line without control characters, which a terminal would obey."""
    spaced = "".join(" " if char.isspace() else char for char in text.rstrip())
    return "".join(char for char in spaced if char.isprintable())


def signed(number: float, digits: int) -> str:
    """With its sign, and never -0.00."""
    return f"{round(number, digits) + 0.0:+.{digits}f}"
