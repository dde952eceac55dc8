"""Prompts that Python code gives as rows, under a name that `tasks=` takes in this process."""

from collections.abc import Iterable, Mapping
from typing import Any

from kdbench.errors import InputError
from kdbench.system.names import is_file_name
from kdbench.task.prompt_rows import PlacedRow, limited, placed

_given: dict[str, list[PlacedRow]] = {}


def give_rows(name: str, rows: Any) -> None:
    """Give a task its prompts, in place of those that the name had.

    Args:
        name: Name of the task in results.
        rows: A list of mappings, or a pandas data frame, with the fields of a file of prompts.

    Raises:
        InputError: The name cannot be that of a file of results, or the rows are not rows.
    """
    if not is_file_name(name) or name == "run":
        raise InputError(
            f"tasks=: '{name}' cannot name a file of results, which has only letters, digits and "
            "._+-"
        )
    _given[name] = limited(f"task {name}", placed(f"task {name}", _mappings(name, rows)))


def is_given(name: str) -> bool:
    """Whether Python code gave prompts under this name."""
    return name in _given


def given_rows(name: str) -> list[PlacedRow]:
    """Return the prompts that were given under a name."""
    return _given[name]


def _mappings(name: str, rows: Any) -> list[dict[str, Any]]:
    if hasattr(rows, "to_dict") and hasattr(rows, "columns"):  # a data frame
        rows = rows.to_dict("records")
    if isinstance(rows, str | bytes | Mapping) or not isinstance(rows, Iterable):
        raise InputError(f"task {name}: must be a list of rows, each a mapping with a prompt")
    taken = list(rows)
    for number, row in enumerate(taken, start=1):
        if not isinstance(row, Mapping):
            raise InputError(f"task {name}: row {number}: must be a mapping with a prompt")
    return [{str(key): _plain(value) for key, value in row.items()} for row in taken]


def _plain(value: Any) -> Any:
    """A value as JSON would hold it: a data frame has NumPy's numbers, and marks of its own."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if hasattr(value, "tolist"):  # a number or an array of NumPy
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return list(map(_plain, value))
    is_missing = type(value).__name__ in ("NAType", "NaTType")
    return None if is_missing else value
