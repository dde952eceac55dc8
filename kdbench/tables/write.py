"""A table goes into a file, or is compared with the one that is there."""

import difflib
from pathlib import Path

from kdbench.errors import InputError
from kdbench.registry import nearest
from kdbench.tables.render import FORMS

BEGIN = "<!-- kdbench:begin table -->"
END = "<!-- kdbench:end table -->"


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


def whole_file(out: Path, form: str, text: str) -> str:
    """What the file should hold. In a Markdown file the table stands between its markers.

    Raises:
        InputError: a Markdown file without the two markers, or with more.
    """
    if form != "md":
        return text
    block = f"{BEGIN}\n{text}{END}"
    if not out.exists():
        return block + "\n"
    old = _read(out)
    if old.count(BEGIN) != 1 or old.count(END) != 1 or old.index(END) < old.index(BEGIN):
        raise InputError(f"{out}: needs one line '{BEGIN}' and, after it, one line '{END}'")
    before, _, rest = old.partition(BEGIN)
    return before + block + rest.partition(END)[2]


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
