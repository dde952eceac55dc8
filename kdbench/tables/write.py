"""A table is written into a file, or compared with the one that the file holds."""

import difflib
from pathlib import Path

from kdbench.errors import InputError, nearest
from kdbench.system.outputs import is_stream
from kdbench.tables.render import FORMS

TABLE = "table"  # the default name of a block


def form_of(out: Path | None, form: str | None) -> str:
    """Choose the form of a table.

    Args:
        out: File of the table; None for the terminal.
        form: Form that the user asked for; None for that of the file's ending.

    Raises:
        InputError: an ending that is not that of a form.
    """
    if form is not None:
        return form
    if out is None:
        return "terminal"
    ending = out.suffix.removeprefix(".")
    if not ending and is_stream(out):
        return "terminal"
    if ending not in FORMS:
        raise InputError(f"out={out}: ending '{ending}': {nearest(ending, FORMS)}; or give format=")
    return ending


def whole_file(out: Path, form: str, text: str, name: str = TABLE) -> str:
    """The text of the file with the table; in Markdown the table replaces that of its block.

    Args:
        out: File of the table.
        form: Form of the table.
        text: The table.
        name: Name of its block, as in the markers.

    Raises:
        InputError: a Markdown file does not have exactly two markers of the block.
    """
    if form != "md":
        return text
    begin, end = f"<!-- kdbench:begin {name} -->", f"<!-- kdbench:end {name} -->"
    block = f"{begin}\n{text}{end}"
    if not out.exists():
        return block + "\n"
    old = _read(out)
    if old.count(begin) != 1 or old.count(end) != 1 or old.index(end) < old.index(begin):
        raise InputError(f"{out}: needs one line '{begin}' and, after it, one line '{end}'")
    before, _, rest = old.partition(begin)
    return before + block + rest.partition(end)[2]


def stale_diff(out: Path, text: str) -> str:
    """Compare a file with a new text, as a unified diff; empty if they are equal."""
    old = _read(out) if out.exists() else ""
    lines = difflib.unified_diff(
        old.splitlines(keepends=True), text.splitlines(keepends=True), str(out), f"{out} (new)"
    )
    return "".join(lines)


def _read(out: Path) -> str:
    try:
        return out.read_bytes().decode()  # read_text would change newlines
    except UnicodeDecodeError as error:
        raise InputError(f"{out}: not UTF-8: {error}") from None
