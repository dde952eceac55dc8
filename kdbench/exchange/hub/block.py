"""The part of a card between two markers, which kdbench replaces; the rest belongs to people.

The first marker holds a digest of the part, which shows whether somebody has edited it.
"""

import hashlib
import re

from kdbench.errors import InputError

_END = "<!-- kdbench:end card -->"
_BEGIN = re.compile(r"<!-- kdbench:begin card (\w+) -->")


def marked(body: str) -> str:
    """A part with its markers."""
    body = body.replace("<!-- kdbench:", "<!-- ")
    return f"<!-- kdbench:begin card {_digest(body)} -->\n{body}\n{_END}"


def with_part(text: str, body: str, place: str, overwrite: bool) -> str:
    """The text of a card with its part replaced.

    Args:
        text: Text of the card, without metadata; empty for a new one.
        body: New part.
        place: Where the card is, for messages.
        overwrite: Whether edits by hand may be lost.

    Raises:
        InputError: The card has no such part, or the part was edited by hand.
    """
    if not text.strip():
        return marked(body) + "\n"
    begins, ends = list(_BEGIN.finditer(text)), [m.start() for m in re.finditer(_END, text)]
    if len(begins) != 1 or len(ends) != 1 or ends[0] < begins[0].end():
        if overwrite:
            return marked(body) + "\n"
        raise InputError(
            f"{place}: was not written by kdbench card; put '<!-- kdbench:begin card 0 -->' and "
            f"'{_END}' where the results belong, or replace all of it with overwrite=true"
        )
    begin, end = begins[0], ends[0]
    old, digest = text[begin.end() : end].strip("\n"), begin.group(1)
    if old and digest != _digest(old) and not overwrite:
        raise InputError(
            f"{place}: the part between kdbench's markers was edited by hand; move the edits out "
            "of it, or replace it with overwrite=true"
        )
    return text[: begin.start()] + marked(body) + text[end + len(_END) :]


def _digest(body: str) -> str:
    return hashlib.sha256(body.strip("\n").encode()).hexdigest()[:12]
