"""Names that become parts of paths."""

import re

from kdbench.errors import InputError

_LONGEST = 200  # bytes; file systems take 255, and a suffix may follow
_FILE = re.compile(r"[A-Za-z0-9._+-]+")


def folder_name(name: str) -> str:
    """Check a name from a user or a file before it names a folder, and return it.

    Raises:
        InputError: The name could lead to a different folder, or hide in a terminal.
    """
    if not name.strip(" .") or {"/", "\\"} & set(name):
        raise InputError("must be the name of a folder, without / and \\")
    if not name.isprintable():
        raise InputError("must be the name of a folder, without control characters")
    if len(name.encode()) > _LONGEST:
        raise InputError(f"must be the name of a folder, of at most {_LONGEST} bytes")
    return name


def is_file_name(name: object) -> bool:
    """Whether a name is made of ASCII letters, digits and `._+-`, with more than dots."""
    return isinstance(name, str) and bool(_FILE.fullmatch(name)) and bool(name.strip("."))
