"""Files of keys that extend others: `extends: NAME` in a recipe or in a table's file."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kdbench.config.building import read_yaml
from kdbench.errors import InputError

KEY = "extends"


@dataclass(frozen=True)
class ExtendedFile:
    """A file of a chain.

    Attributes:
        file: The file.
        values: Its own keys and values, without `extends`.
    """

    file: Path
    values: dict[str, object]


def read_chain(file: Path, key: str, find: Callable[[Path, str], Path]) -> list[ExtendedFile]:
    """Read a file and those that it extends, the file itself first.

    Args:
        file: The file.
        key: Setting that named it, for messages.
        find: The file that a base's name means, given the file that extends it.

    Raises:
        InputError: A file is missing or no mapping, `extends` names no file, or the files extend
            one another in a circle.
    """
    chain: list[ExtendedFile] = []
    seen: list[Path] = []
    while True:
        seen.append(file.resolve())
        values = read_yaml(file, key)
        base = values.pop(KEY, None)
        chain.append(ExtendedFile(file, values))
        if base is None:
            return chain
        if not isinstance(base, str) or not base:
            raise InputError(f"{key}={file}: {KEY}: must be one name")
        following = find(file, base)
        if following.resolve() in seen:
            raise InputError(f"{key}={file}: {KEY}: {base}: {_circle(chain, seen, following)}")
        file = following


def _circle(chain: list[ExtendedFile], seen: list[Path], following: Path) -> str:
    around = chain[seen.index(following.resolve()) :]
    if len(around) == 1:
        return "is this file itself; name another one"
    names = [part.file.name for part in around]
    return f"extends this file in turn ({' → '.join([*names, names[0]])}); break the circle"
