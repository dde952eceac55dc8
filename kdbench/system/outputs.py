"""Output files that a user names: pipes, devices and links are written through, never replaced."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kdbench.system.files import json_text, put_text

STANDARD_OUTPUT = Path("-")


def put_output(path: Path, text: str) -> None:
    """Write an output.

    A regular file is replaced as a whole, also behind a link; a pipe or a device gets the text.

    Args:
        path: File to write; `-` is standard output.
        text: The whole text.
    """
    if is_standard_output(path):
        sys.stdout.write(text)
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
    return is_standard_output(path) or (path.exists() and not (path.is_file() or path.is_dir()))


def is_standard_output(path: Path) -> bool:
    """Whether an output is standard output, by the name `-` or by another."""
    if path == STANDARD_OUTPUT:
        return True
    try:
        return os.path.samestat(path.stat(), os.fstat(sys.stdout.fileno()))
    except (OSError, ValueError):  # no such file, or standard output is no file
        return False
