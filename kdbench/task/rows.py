"""Rows of a task's own JSON files, checked before pyarrow reads them, because some end the process.

pyarrow's reader ends in a segmentation fault at a row `null`.
"""

import glob
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from kdbench.errors import InputError
from kdbench.system.safe_yaml import yaml_text


class _Loader(yaml.SafeLoader):
    """Reads a value with an unknown tag, such as lm-eval's `!function`, as null."""


def _no_value(_loader: Any, _node: Any) -> None:
    """The value of an unknown tag."""


_Loader.add_constructor(None, _no_value)


def check_rows(path: Path) -> None:
    """Check the rows of the local JSON files that a task's YAML names.

    Text that is not JSON is left to the library that reads it.

    Args:
        path: The YAML, whose limits `top_keys` has checked.

    Raises:
        InputError: A row is not an object, or nested too deeply.
    """
    keys = plain_keys(path)
    options = keys.get("dataset_kwargs")
    if keys.get("dataset_path") != "json" or not isinstance(options, dict):
        return
    for pattern in _texts(options.get("data_files")):
        for name in sorted(glob.glob(pattern, recursive=True)) or [pattern]:
            if Path(name).is_file():
                _check_file(Path(name))


def plain_keys(path: Path) -> dict[str, Any]:
    """The keys of a YAML and of those that it includes; nothing of what cannot be read."""
    try:
        keys = yaml.load(yaml_text(path), Loader=_Loader)  # noqa: S506 - derived from SafeLoader
    except (yaml.YAMLError, ValueError, TypeError, OSError):
        return {}
    if not isinstance(keys, dict):
        return {}
    included: dict[str, Any] = {}
    for name in _texts(keys.get("include")):
        included |= plain_keys(path.parent / name)
    return included | keys


def _texts(value: object) -> Iterator[str]:
    """The texts in a value: itself, or those of a list or mapping."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def _check_file(file: Path) -> None:
    """Check that a file holds objects, or lists of objects.

    Raises:
        InputError: It does not.
    """
    try:
        for number, row in enumerate(_rows(file.read_text(encoding="utf-8-sig")), start=1):
            if not isinstance(row, dict):
                raise InputError(f"{file}: row {number} must be a JSON object")
    except RecursionError:
        raise InputError(f"{file}: nested too deeply") from None
    except InputError:
        raise
    except (ValueError, OSError):
        return


def _rows(text: str) -> Iterator[Any]:
    """The values of a file of JSON lines, or the items of its only list."""
    decoder, place, end = json.JSONDecoder(), 0, len(text.rstrip())
    while place < end:
        while text[place].isspace():
            place += 1
        value, place = decoder.raw_decode(text, place)
        yield from value if isinstance(value, list) else [value]
