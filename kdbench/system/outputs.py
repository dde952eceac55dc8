"""Output files that a user names: pipes, devices and links are written through, never replaced."""

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kdbench.system.files import json_text, put_text

STANDARD_OUTPUT = Path("-")
_LINKS = 40  # as many as Linux follows


def put_output(path: Path, text: str) -> None:
    """Write an output.

    A regular file is replaced as a whole, also behind a link; a pipe or a device gets the text, and
    so does what this process has open, such as `/dev/stderr` or `/dev/fd/3`.

    Args:
        path: File to write; `-` is standard output.
        text: The whole text.
    """
    if is_standard_output(path):
        sys.stdout.write(text)
    elif (descriptor := _open_descriptor(path)) is not None:
        sys.stderr.flush()
        with os.fdopen(os.dup(descriptor), "w", encoding="utf-8", newline="") as stream:
            stream.write(text)
    elif is_stream(path):
        with path.open("w", encoding="utf-8", newline="") as stream:
            stream.write(text)
    else:
        put_text(Path(os.path.realpath(path)) if path.is_symlink() else path, text)


def put_json_output(path: Path, content: Mapping[str, Any]) -> None:
    """Write an output as JSON, in the form of `write_json`."""
    put_output(path, json_text(content))


def is_stream(path: Path) -> bool:
    """Whether an output is standard output, a pipe or a device instead of a file."""
    if is_standard_output(path) or _open_descriptor(path) is not None:
        return True
    return path.exists() and not (path.is_file() or path.is_dir())


def is_standard_output(path: Path) -> bool:
    """Whether an output is standard output, by the name `-` or by another."""
    if path == STANDARD_OUTPUT:
        return True
    try:
        return os.path.samestat(path.stat(), os.fstat(sys.stdout.fileno()))
    except (OSError, ValueError):  # no such file, or standard output is no file
        return False


def _open_descriptor(path: Path) -> int | None:
    """The descriptor of this process that a path or the end of its links names, as on Linux.

    What it has open can be a regular file, which other writers to the same descriptor share and
    which must therefore not be replaced.
    """
    own = re.compile(rf"/proc/{os.getpid()}(/task/\d+)?/fd")
    for _ in range(_LINKS if "\0" not in str(path) else 0):
        folder = os.path.realpath(path.parent)
        if own.fullmatch(folder) and path.name.isdecimal() and path.exists():
            return int(path.name)
        if not path.is_symlink():
            return None
        path = Path(folder) / path.readlink()
    return None
