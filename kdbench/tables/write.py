"""A table goes into a file, or is compared with the one that is there."""

import difflib
from pathlib import Path

from kdbench.errors import InputError, nearest
from kdbench.tables.render import FORMS

TABLE = "table"  # the block of a file that has only one


def form_of(out: Path | None, form: str | None) -> str:
    """The form asked for, else that of the file's ending, else the terminal's.

    Raises:
        InputError: an ending that names no form.
    """
    if form is not None:
        return form
    if out is None:
        return "terminal"
    ending = out.suffix.removeprefix(".")
    if ending not in FORMS:
        raise InputError(f"out={out}: ending '{ending}': {nearest(ending, FORMS)}; or give format=")
    return ending


def whole_file(out: Path, form: str, text: str, name: str = TABLE) -> str:
    """What the file should hold. In a Markdown file the table stands between its block's markers.

    Raises:
        InputError: a Markdown file without the two markers, or with more.
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
    """What would change in the file, as a unified diff; empty when nothing would."""
    old = _read(out) if out.exists() else ""
    lines = difflib.unified_diff(
        old.splitlines(keepends=True), text.splitlines(keepends=True), str(out), f"{out} (new)"
    )
    return "".join(lines)


def _read(out: Path) -> str:
    try:
        return out.read_bytes().decode()  # as bytes, so that newlines stay as they are
    except UnicodeDecodeError as error:
        raise InputError(f"{out}: not UTF-8: {error}") from None
