"""What identifies the files and checkpoints that a method's keys name: content, not place."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def with_contents(value: Any, key: str, content: Callable[[str, Path], str]) -> Any:
    """A value of a method's key with the content of each path in place of the path.

    Args:
        value: The value: a path, or a list or mapping that may hold some, or anything else.
        key: The key, for messages.
        content: Gives what identifies the content at a path that a key names.
    """
    if isinstance(value, Path):
        return content(key, value)
    if isinstance(value, Mapping):
        return {name: with_contents(item, key, content) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [with_contents(item, key, content) for item in value]
    return value


def paths_in(value: Any) -> list[Path]:
    """The paths in a value of a method's key, in order."""
    found: list[Path] = []

    def note(_: str, path: Path) -> str:
        found.append(path)
        return ""

    with_contents(value, "", note)
    return found
