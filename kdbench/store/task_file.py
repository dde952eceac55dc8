"""`<task>.json` in parts: what a table needs of a file is read without parsing the rest.

Kdbench writes one line for each metric and for each column of documents, and a text in JSON never
holds a line break. So lines are parts: where each begins is noted when the file is first read, and
a metric or column is parsed and checked when it is asked for. A file that is laid out differently,
because someone edited it, is not skimmed; it is read as a whole.
"""

import os
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, BinaryIO

_FIRST, _LAST = b"{\n", b"}\n"
_SECTION_END = b" },\n"  # "schema" is the last name of a file
LARGE = 4 * 2**20
"""Bytes of a file from which on it is never in memory as a whole."""
_LONG, _START = 2**16, 2**10
_KEPT = 2**16  # bytes of a part that is compared with those of other files
_MOST_KEPT = 256  # such parts


class ChangedError(Exception):
    """The file was replaced since it was skimmed."""


@dataclass(frozen=True, slots=True)
class LinePlaces:
    """The lines of a section.

    Attributes:
        names: Name at the start of each line.
        ends: Index of the byte after each line, preceded by the index of the first byte.
    """

    names: dict[str, int]
    ends: "array[int]"


@dataclass(frozen=True, slots=True)
class Skimmed:
    """A file of which only small parts were parsed.

    Attributes:
        path: The file.
        signature: Device, inode, size and time of change, which tell whether it was replaced.
        rest: All but the documents and metrics; files in which it is equal can share one object.
        shares_rest: Whether it is short, so that they do.
        documents: Where the columns are.
        metrics: Where the metrics are.
        ids: The ids of the documents, if they are short.
        main: The main metric.
    """

    path: Path
    signature: tuple[int, ...]
    rest: dict[str, Any]
    shares_rest: bool
    documents: LinePlaces
    metrics: LinePlaces
    ids: list[Any] | None
    main: dict[str, Any] | None

    def column(self, name: str) -> Any:
        """Parse a column of the documents.

        Raises:
            ChangedError: The file was replaced since.
            ValueError: The line is not JSON.
        """
        if name == "id" and self.ids is not None:
            return self.ids
        with self.path.open("rb") as stream:
            return self._read(stream, self.documents, name)

    def metric(self, name: str) -> Any:
        """Parse a metric, with the errors of `column`."""
        if self.main is not None and name == self.rest["main_metric"]:
            return dict(self.main)
        with self.path.open("rb") as stream:
            return self._read(stream, self.metrics, name)

    def columns(self) -> Iterator[tuple[str, Any]]:
        """Parse the columns one after the other, with the errors of `column`."""
        with self.path.open("rb") as stream:
            for name in self.documents.names:
                yield name, self._read(stream, self.documents, name)

    def all_metrics(self) -> Iterator[tuple[str, Any]]:
        """Parse the metrics one after the other, with the errors of `column`."""
        with self.path.open("rb") as stream:
            for name in self.metrics.names:
                yield name, self._read(stream, self.metrics, name)

    def _read(self, stream: BinaryIO, section: LinePlaces, name: str) -> Any:
        if _signature(stream) != self.signature:
            raise ChangedError
        place = section.names[name]
        start, stop = section.ends[place], section.ends[place + 1]
        stream.seek(start)
        return _value(stream.read(stop - start))


def skim(path: Path) -> Skimmed | None:
    """Find the parts of a file; None if it is not laid out as kdbench writes it.

    Raises:
        ValueError: A part that is always read is not JSON.
    """
    with path.open("rb", buffering=2**17) as stream:
        signature = _signature(stream)
        lines, ends = _lines(stream, signature[2])
    if lines[0] != _FIRST or lines[-1] != _LAST:
        return None
    documents = _section(lines, ends, b' "documents": {\n')
    if documents is None:
        return None
    (first, last), columns = documents
    metrics = _section(lines, ends, b' "metrics": {\n')
    if metrics is None:
        return None
    (start, stop), measured = metrics
    text = b"".join([*lines[: first - 1], *lines[last + 1 : start - 1], *lines[stop + 1 :]])
    rest = _rest(text)
    # Neither is a part of the rest unless the lines mislead.
    if not isinstance(rest, dict) or {"documents", "metrics"} & rest.keys():
        return None
    ids, main = columns.names.get("id"), measured.names.get(str(rest.get("main_metric")))
    return Skimmed(
        path,
        signature,
        rest,
        len(text) <= _KEPT,
        columns,
        measured,
        None if ids is None else _ids(lines[first + ids]),
        None if main is None else _value(lines[start + main]),
    )


def _signature(stream: BinaryIO) -> tuple[int, ...]:
    status = os.fstat(stream.fileno())
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _lines(stream: BinaryIO, size: int) -> tuple[list[bytes], list[int]]:
    """The lines of a file, and where each begins; of a large file, the starts of long lines."""
    if size <= LARGE:
        lines = stream.readlines() or [b""]
        return lines, list(accumulate(map(len, lines), initial=0))
    lines, ends = [], [0]
    for line in stream:
        lines.append(line if len(line) < _LONG else line[:_START])
        ends.append(ends[-1] + len(line))
    return lines, ends


def _section(
    lines: list[bytes], ends: list[int], head: bytes
) -> tuple[tuple[int, int], LinePlaces] | None:
    """The indices of a section's lines, and where they are; None if it is laid out differently."""
    if lines.count(head) != 1:
        return None
    first = lines.index(head) + 1
    if _SECTION_END not in lines[first:]:
        return None
    last = lines.index(_SECTION_END, first)
    names = _names(lines[first:last])
    return (
        None
        if names is None
        else ((first, last), LinePlaces(names, array("q", ends[first : last + 1])))
    )


_known: dict[int, tuple[list[bytes], dict[str, int]]] = {}


def _names(lines: list[bytes]) -> dict[str, int] | None:
    """The index of each line by its name; None if a line has none, or commas are misplaced.

    Files of one command have the same names, so those of the last file are tried first.
    """
    if not all(map(_is_continued, lines[:-1])) or (lines and lines[-1].endswith(b",\n")):
        return None
    known = _known.get(len(lines))
    if known is not None and all(map(bytes.startswith, lines, known[0])):
        return known[1]
    starts: list[bytes] = []
    for line in lines:
        stop = line.find(b'": ', 3)
        if line[:3] != b'  "' or stop < 0 or b"\\" in line[3:stop] or b'"' in line[3:stop]:
            return None
        starts.append(line[: stop + 3])
    names = {start[3:-3].decode(): place for place, start in enumerate(starts)}
    if len(names) < len(starts):
        return None
    _known[len(lines)] = starts, names
    return names


def _is_continued(line: bytes) -> bool:
    """Whether a comma ends the line; unknown, so true, of one that was cut."""
    return line.endswith(b",\n") or not line.endswith(b"\n")


_rests: dict[bytes, Any] = {}
_kept: dict[bytes, list[Any]] = {}


def _rest(text: bytes) -> Any:
    """What a file holds apart from its documents and metrics; equal texts share one object."""
    if len(text) > _KEPT:
        return _parse(text)
    if text not in _rests:
        if len(_rests) >= _MOST_KEPT:
            _rests.clear()
        _rests[text] = _parse(text)
    return _rests[text]


def _ids(line: bytes) -> list[Any] | None:
    """The ids of documents, one list for all files with the same; None if the line is long."""
    if not line.endswith(b"\n") or len(line) > _KEPT:
        return None
    if line not in _kept:
        if len(_kept) >= _MOST_KEPT:
            _kept.clear()
        _kept[line] = _value(line)
    return _kept[line]


def _value(line: bytes) -> Any:
    """The value in a line such as `  "name": [1.0, null],`."""
    content = _parse(b"{" + line.rstrip().removesuffix(b",") + b"}")
    (value,) = content.values()
    return value


def _parse(text: bytes) -> Any:
    from pydantic_core import from_json

    return from_json(text, allow_inf_nan=False)
