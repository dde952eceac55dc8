"""Rows of a file or data set of prompts, each with the place that error messages name."""

import csv
import gzip
import json
import math
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from kdbench.errors import InputError, nearest_path, reason_of

SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".parquet")
FORMS = ("prompt", "messages", "instruction")
"""Fields of which a row has one."""

_MOST_ROWS = 1_000_000
_MOST_BYTES = 2**30  # of text, which is held in memory
_LFS = "version https://git-lfs"


class PlacedRow(NamedTuple):
    """A row and where it is.

    Attributes:
        place: File and line, or file and number of the row.
        fields: Fields by name; without those that are null.
    """

    place: str
    fields: Mapping[str, Any]


class NumberText(str):
    """A number of a JSON file, as it is written there."""

    __slots__ = ()


def suffix_of(path: Path) -> str:
    """Return the ending of a file's name, without that of a compressed file."""
    name = path.name.lower().removesuffix(".gz")
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix)), "")


def read_rows(path: Path) -> list[PlacedRow]:
    """Read the rows of a file.

    Args:
        path: File in one of the formats of `SUFFIXES`; a text format may be gzipped.

    Raises:
        InputError: The file is missing, damaged, too large, or not in its format.
    """
    if not path.is_file():
        raise InputError(f"tasks={path}: no such file{nearest_path(path)}")
    if path.stat().st_size > _MOST_BYTES:
        raise InputError(f"{path}: larger than 1 GB; take a part of it")
    reader = _parquet if suffix_of(path) == ".parquet" else _text
    return limited(str(path), reader(path))


def limited(name: str, rows: Iterable[PlacedRow]) -> list[PlacedRow]:
    """Return the rows without their nulls.

    Args:
        name: The file or data set.
        rows: Its rows.

    Raises:
        InputError: There are none, or too many.
    """
    kept: list[PlacedRow] = []
    for row in rows:
        kept.append(_without_nulls(row))
        if len(kept) > _MOST_ROWS:
            raise InputError(f"{name}: more than {_MOST_ROWS:,} rows; take a part of it")
    if not kept:
        raise InputError(f"{name}: has no rows")
    return kept


def placed(name: str, rows: Iterable[Mapping[str, Any]]) -> Iterator[PlacedRow]:
    """Give rows without lines their places, by number from 1.

    Args:
        name: The file or data set.
        rows: Its rows.
    """
    for number, fields in enumerate(rows, start=1):
        yield PlacedRow(f"{name}: row {number}", fields)


def _without_nulls(row: PlacedRow) -> PlacedRow:
    known = {
        str(name): value
        for name, value in row.fields.items()
        if value is not None and not (isinstance(value, float) and math.isnan(value))
    }
    return PlacedRow(row.place, known)


def _text(path: Path) -> Iterator[PlacedRow]:
    """Read a file of text, in whichever of the formats it is."""
    try:
        with _opened(path) as file:
            if suffix_of(path) in (".csv", ".tsv"):
                yield from _table(path, file)
            else:
                yield from _json(path, file)
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text ({error.reason}); save it as UTF-8") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path}: damaged gzip file: {reason_of(error)}") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or reason_of(error)}") from None


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    """Open a text file, gzipped or not; refuse a pointer of Git LFS."""
    opener = gzip.open if path.name.lower().endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
        if file.read(len(_LFS)) == _LFS:
            raise InputError(f"{path}: a Git LFS pointer, not the data; run 'git lfs pull'")
    with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
        yield file


def _json(path: Path, file: TextIO) -> Iterator[PlacedRow]:
    """Read JSON lines, or one array of objects."""
    total, is_first = 0, True
    for number, line in enumerate(file, start=1):
        total += len(line)
        if total > _MOST_BYTES:  # a gzipped file can be much larger than it looks
            raise InputError(f"{path}: larger than 1 GB; take a part of it")
        if not line.strip():
            continue
        if is_first and line.lstrip().startswith("["):
            rows = _parsed(line + file.read(_MOST_BYTES), str(path))
            for row in placed(str(path), rows):
                yield PlacedRow(row.place, _object(row.fields, row.place))
            return
        is_first = False
        place = f"{path}:{number}"
        if line.strip() == "{":
            raise InputError(f"{place}: an object over several lines; write each in one line")
        yield PlacedRow(place, _object(_parsed(line, place), place))


def _parsed(text: str, place: str) -> Any:
    try:
        value = json.loads(
            text,
            parse_int=NumberText,
            parse_float=NumberText,
            parse_constant=lambda name: None if name == "NaN" else NumberText(name),
            object_pairs_hook=_unique,
        )
        if "\\u" in text:  # half of a surrogate pair
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        line = f"line {error.lineno}, " if "\n" in text.strip() else ""
        raise InputError(f"{place}: not JSON: {error.msg} ({line}column {error.colno})") from None
    except UnicodeEncodeError as error:
        raise InputError(f"{place}: not text: {error.reason}") from None
    except RecursionError:
        raise InputError(f"{place}: nested too deeply") from None
    except ValueError as error:
        raise InputError(f"{place}: {error}") from None
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the field '{twice}' is given twice")
    return fields


def _object(value: Any, place: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f'{place}: must be a JSON object, such as {{"prompt": "…"}}')
    return value


def _table(path: Path, file: TextIO) -> Iterator[PlacedRow]:
    """Read a table with a header, whose cells stay text; an empty cell is a missing field."""
    delimiter = "\t" if suffix_of(path) == ".tsv" else ","
    limit = csv.field_size_limit(min(sys.maxsize, _MOST_BYTES))
    try:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        header = [name.strip() for name in next(reader, [])]
        _check_header(header, f"{path}:1", delimiter)
        line = reader.line_num + 1
        for cells in reader:
            place = f"{path}:{line}"
            line = reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                raise InputError(
                    f"{place}: has {len(cells)} cells, but the header has {len(header)}; put "
                    "quotes around a text that holds the delimiter or a line break"
                )
            pairs = zip(header, cells, strict=True)
            yield PlacedRow(place, {k: _cell(k, v, place) for k, v in pairs if v or k in FORMS})
    except csv.Error as error:
        raise InputError(f"{path}:{reader.line_num}: {error}") from None
    finally:
        csv.field_size_limit(limit)


def _cell(name: str, text: str, place: str) -> Any:
    """Return a cell's text; a conversation is JSON, because a cell has no other lists."""
    if name != "messages" or not text:
        return text
    return _parsed(text, f"{place}: messages")


def _check_header(header: list[str], place: str, delimiter: str) -> None:
    if len(header) == 1 and (other := next((c for c in ";\t," if c in header[0]), None)):
        shown = {"\t": "tabs", ";": "semicolons", ",": "commas"}
        way = "rename the file to .tsv" if other == "\t" else "save it with commas"
        way = "rename the file to .csv" if delimiter == "\t" and other == "," else way
        raise InputError(f"{place}: the columns are separated by {shown[other]}; {way}")
    for name in header:
        if header.count(name) > 1:
            raise InputError(f"{place}: the column '{name}' is given twice")


def _parquet(path: Path) -> Iterator[PlacedRow]:
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    with path.open("rb") as file:
        if file.read(len(_LFS)) == _LFS.encode():
            raise InputError(f"{path}: a Git LFS pointer, not the data; run 'git lfs pull'")
    try:
        with ParquetFile(path) as file:
            batches = (batch.to_pylist() for batch in file.iter_batches(1024))
            yield from placed(str(path), (row for batch in batches for row in batch))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a Parquet file: {reason_of(error)}") from None
