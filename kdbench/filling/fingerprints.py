"""Fingerprints: what decides the outcome of a node, hashed."""

import hashlib
import json
from collections.abc import Callable, Hashable, Set
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from kdbench.system.files import sha256_of_file

T = TypeVar("T")

# A key that a later version adds does not affect earlier outcomes. A changed default does: raise
# this number when one changes.
_DEFAULTS = 1


class Contents:
    """What files, tasks and models hold, each of which is read once for all nodes of a table."""

    def __init__(self) -> None:
        self._known: dict[object, Any] = {}

    def of(self, read: Callable[..., T], *arguments: Hashable) -> T:
        """Return what a function reads, which the first call with its arguments did."""
        key = (read, arguments)
        if key not in self._known:
            self._known[key] = read(*arguments)
        found: T = self._known[key]
        return found


def digest(content: Any) -> str:
    """SHA-256 of a JSON value."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def non_defaults(settings: BaseModel, excluded: Set[str] = frozenset()) -> dict[str, Any]:
    """The settings that differ from their defaults, as a JSON value.

    Args:
        settings: Settings of a training, a method or an evaluation.
        excluded: Keys that do not affect the outcome.
    """
    chosen = settings.model_dump(mode="json", exclude=set(excluded), exclude_defaults=True)
    return {**chosen, "defaults": _DEFAULTS}


def file_hashes(folder: Path | None, pattern: str) -> list[list[str]] | None:
    """Path and SHA-256 of the files that match a pattern.

    Args:
        folder: Folder of the data sets; None for those of the hub, whose names identify them.
        pattern: Glob pattern relative to the folder.
    """
    if folder is None:
        return None
    return [
        [str(file.relative_to(folder)), sha256_of_file(file)]
        for file in sorted(folder.glob(pattern))
    ]
