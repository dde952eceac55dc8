"""Files of a checkpoint that are read before a library reads them."""

import json
import math
from pathlib import Path
from typing import Any

from kdbench.errors import InputError

_POINTER = b"version https://git-lfs.github.com/spec/"


def refuse_pointer(file: Path) -> None:
    """Refuse a file that Git LFS has not replaced by its content.

    Raises:
        InputError: The file is a pointer.
    """
    with file.open("rb") as stream:
        if stream.read(len(_POINTER)) == _POINTER:
            raise InputError(
                f"{file}: cannot be loaded: a Git LFS pointer, not the content of the file; "
                "run git lfs pull in its repository"
            )


def read_object(file: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        InputError: The file is a Git LFS pointer, or no JSON object.
    """
    refuse_pointer(file)
    try:
        content = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        reason = "too deeply nested" if isinstance(error, RecursionError) else str(error)
        raise InputError(f"{file}: cannot be loaded: not JSON: {reason}") from None
    if not isinstance(content, dict):
        kind = "null" if content is None else f"a {type(content).__name__}"
        raise InputError(f"{file}: cannot be loaded: must be a JSON object, not {kind}")
    return content


def finite(number: str) -> float:
    """The value of a number in JSON.

    Raises:
        ValueError: The number is infinite, or none.
    """
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"{number} is no finite number")
    return value


def is_text(string: str) -> bool:
    """Whether a string can be written as UTF-8, that is, holds no half of a surrogate pair."""
    try:
        string.encode()
    except UnicodeEncodeError:
        return False
    return True
