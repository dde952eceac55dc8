"""Where the lines of each document are in a file, so that no file is in memory as a whole."""

from array import array
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from kdbench.system.files import parse_line

Visit = Callable[[dict[str, Any], str], str]
"""Function from a line and its place to the id of the line's document."""


class DocumentNumbers:
    """Numbers of documents in the order in which files name them.

    Attributes:
        ids: Ids of the documents, by number.
    """

    def __init__(self) -> None:
        self.ids: list[str] = []
        self._numbers: dict[str, int] = {}

    def number(self, document: str) -> int:
        """The number of a document, given to it now if it is new."""
        number = self._numbers.setdefault(document, len(self.ids))
        if number == len(self.ids):
            self.ids.append(document)
        return number

    def get(self, document: str) -> int | None:
        """The number of a document; None if no file named it."""
        return self._numbers.get(document)


class DocumentColumn:
    """Integers by number of the document, 0 where none was set; 8 bytes each."""

    def __init__(self) -> None:
        self._values = array("q")

    def __getitem__(self, number: int) -> int:
        return self._values[number] if number < len(self._values) else 0

    def __setitem__(self, number: int, value: int) -> None:
        self._values.extend([0] * (number + 1 - len(self._values)))
        self._values[number] = value

    def first(self, count: int) -> np.ndarray:
        """The values of the first documents, int64 of shape (count,)."""
        values = np.zeros(count, dtype=np.int64)
        values[: len(self._values)] = self._values[:count]
        return values


class LinesByDocument:
    """The lines of a JSONL file, found by document.

    Args:
        path: The file; an unfinished last line does not count.
        numbers: Numbers of the documents; those that are new get one.
        visit: Called with each line and its place; returns the id of its document.

    Raises:
        InputError: A line is not a JSON object, or `visit` refuses it.
    """

    def __init__(self, path: Path, numbers: DocumentNumbers, visit: Visit):
        self.path = path
        offsets, documents = array("q", [0]), array("q")
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    break
                place = f"{path}:{number}"
                documents.append(numbers.number(visit(_parsed(line[:-1], place), place)))
                offsets.append(offsets[-1] + len(line))
        of_lines = np.array(documents, dtype=np.int64)
        order = np.argsort(of_lines, kind="stable")
        self._documents, self._starts = of_lines[order], np.array(offsets)[:-1][order]

    def __len__(self) -> int:
        return len(self._documents)

    def read(self, documents: Collection[int]) -> dict[int, list[dict[str, Any]]]:
        """The lines of some documents, in the order of the file; absent for those without."""
        found: dict[int, list[dict[str, Any]]] = {}
        with self.path.open("rb") as file:
            for document in documents:
                first, last = np.searchsorted(self._documents, [document, document + 1])
                for start in self._starts[first:last].tolist():
                    file.seek(start)
                    line = _parsed(file.readline().rstrip(b"\n"), str(self.path))
                    found.setdefault(document, []).append(line)
        return found


def _parsed(line: bytes, place: str) -> dict[str, Any]:
    """As `parse_line`, in a quarter of its time; that one names the fault of a malformed line."""
    from pydantic_core import from_json

    with suppress(ValueError, RecursionError):
        record = from_json(line, allow_inf_nan=False)
        if isinstance(record, dict):
            return record
    return parse_line(line, place)
