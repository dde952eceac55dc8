"""The values of each chunk in a file, from which an interrupted comparison resumes.

They are stored exactly, as float64 in base64: a file of lines rounds plain numbers.
"""

import base64
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from kdbench.errors import InputError
from kdbench.fidelity.plain.scoring import ChunkValues
from kdbench.system.files import Appender, LinesFile

_COLUMNS = ("kl", "log_q", "log_p", "same_top")


class Keeps(Protocol):
    """What keeps the values of chunks."""

    def add(self, index: int, values: ChunkValues) -> None:
        """Keep the values of a chunk."""


class StoredChunks:
    """A JSONL file: what is compared in its first line, then a line for each chunk.

    Args:
        path: The file; None stores nothing.
        identity: What is compared, and how.

    Raises:
        InputError: The file is of another comparison, or damaged.
    """

    def __init__(self, path: Path | None, identity: Mapping[str, Any]):
        self.path, self._identity = path, identity
        self.values: dict[int, ChunkValues] = {}
        lines = [] if path is None else LinesFile(path).read()
        self._is_new = not lines
        if lines:
            self._check_identity(lines[0])
        for number, line in enumerate(lines[1:], start=2):
            try:
                columns = [_decoded(line[name]) for name in _COLUMNS]
                if len({len(column) for column in columns}) != 1:
                    raise ValueError
                self.values[int(line["chunk"])] = ChunkValues(*columns)
            except (KeyError, TypeError, ValueError):
                raise InputError(
                    f"{path}:{number}: not the values of a chunk; delete the file to begin again"
                ) from None

    def _check_identity(self, line: Mapping[str, Any]) -> None:
        for key, value in self._identity.items():
            if line.get(key) != value:
                raise InputError(
                    f"out={self.path}: was made with another {key} ({str(line.get(key))[:20]}, "
                    f"now {str(value)[:20]}); give another file, or delete this one"
                )

    @contextmanager
    def appending(self) -> Iterator[Keeps]:
        """Keep further chunks: in memory, and in the file as soon as each is measured."""
        if self.path is None:
            yield _Kept(self.values, None)
            return
        with LinesFile(self.path).appending() as appender:
            if self._is_new:
                appender.add(self._identity)
                self._is_new = False
            yield _Kept(self.values, appender)


class _Kept:
    def __init__(self, values: dict[int, ChunkValues], appender: Appender | None):
        self._values, self._appender = values, appender

    def add(self, index: int, values: ChunkValues) -> None:
        self._values[index] = values
        if self._appender is not None:
            columns = {name: _encoded(getattr(values, name)) for name in _COLUMNS}
            self._appender.add({"chunk": index, **columns})


def _encoded(values: "np.ndarray") -> str:
    return base64.b64encode(values.astype("<f8").tobytes()).decode()


def _decoded(text: str) -> "np.ndarray":
    """The numbers of a text.

    Raises:
        ValueError: They are none.
        TypeError: It is no text.
    """
    return np.frombuffer(base64.b64decode(text, validate=True), dtype="<f8")
