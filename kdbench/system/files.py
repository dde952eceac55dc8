"""Files that survive a crash: replaced as a whole, or extended by whole lines."""

import errno
import glob
import hashlib
import json
import os
import platform
import shutil
from array import array
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import islice
from operator import eq
from pathlib import Path
from typing import Any, BinaryIO

from kdbench.errors import InputError
from kdbench.system.plain_json import json_line, json_pieces
from kdbench.system.processes import is_alive

SCHEMA = 1


class LinesFile:
    """A JSONL file that is extended by whole lines."""

    def __init__(self, path: Path):
        self.path = path

    def read(self, whole: bool = False) -> list[dict[str, Any]]:
        """All lines; a last line without a newline is what a crash left, and is skipped.

        Args:
            whole: Whether the file is a user's, whose last line counts even without a newline.

        Raises:
            InputError: A line is not a JSON object.
        """
        if not self.path.exists():
            return []
        text = self.path.read_bytes()
        if whole:
            text = text.rstrip() + b"\n" if text.strip() else b""
        lines = text[: text.rfind(b"\n") + 1].split(b"\n")[:-1]
        return [
            parse_line(line, f"{self.path}:{number}") for number, line in enumerate(lines, start=1)
        ]

    def stream(self) -> Iterator[dict[str, Any]]:
        """Yield all lines as `read` returns them, with one at a time in memory.

        Raises:
            InputError: A line is not a JSON object.
        """
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.endswith(b"\n"):
                    yield parse_line(line[:-1], f"{self.path}:{number}")

    def is_damaged(self) -> bool:
        """Whether a finished file is empty, ends within a line, or has a line twice."""
        if not self.path.exists():
            return False
        with self.path.open("rb") as file:
            line, hashes = b"", array("q")
            for line in file:
                hashes.append(hash(line))
        if not line.endswith(b"\n"):
            return True
        # Lines of equal hash are rare, so the lines themselves are only compared then.
        ordered = sorted(hashes)
        if not any(map(eq, ordered, islice(ordered, 1, None))):
            return False
        lines = self.path.read_bytes().splitlines(keepends=True)
        return len(set(lines)) < len(lines)

    def repair(self) -> None:
        """Remove an unfinished last line, and all but the first of equal lines."""
        text = self.path.read_bytes()
        lines = text[: text.rfind(b"\n") + 1].splitlines(keepends=True)
        put_bytes(self.path, b"".join(dict.fromkeys(lines)))

    @contextmanager
    def appending(self) -> Iterator["Appender"]:
        """Append lines; the first one opens the file and removes an unfinished last line."""
        appender = Appender(self.path)
        try:
            yield appender
        finally:
            appender.close()

    def replace(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Replace the whole file."""
        put_pieces(self.path, (json_line(record).encode() for record in records))


class Appender:
    """A JSONL file opened for appending."""

    def __init__(self, path: Path):
        self._path = path
        self._stream: BinaryIO | None = None

    def add(self, record: Mapping[str, Any]) -> None:
        """Append a line, which from then on survives the end of this process."""
        if self._stream is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = self._path.open("ab+")
            self._stream.seek(0)
            self._stream.truncate(self._stream.read().rfind(b"\n") + 1)
        self._stream.write(json_line(record).encode())
        self._stream.flush()

    def sync(self) -> None:
        """Flush the added lines to disk, so that they survive a power cut."""
        if self._stream is not None:
            os.fsync(self._stream.fileno())

    def close(self) -> None:
        """Close the file, if it was opened."""
        if self._stream is not None:
            self._stream.close()


def parse_line(line: bytes, place: str) -> dict[str, Any]:
    """The JSON object in a line.

    Raises:
        InputError: The line is not a JSON object, or not in UTF-8.
    """
    try:
        record = json.loads(line, parse_constant=_refuse_constant)
        json.dumps(record, ensure_ascii=False).encode()  # refuses lone surrogates
    except (ValueError, RecursionError) as error:
        raise InputError(f"{place}: not a line of JSON in UTF-8: {error}") from None
    if not isinstance(record, dict):
        raise InputError(f"{place}: not a JSON object")
    return record


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file that kdbench wrote.

    Raises:
        InputError: The JSON is broken, or this version does not know its schema.
    """
    from pydantic_core import from_json

    try:
        content = from_json(path.read_bytes(), allow_inf_nan=False)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON: {error}") from None
    check_schema(path, content)
    return content  # type: ignore[no-any-return]


def check_schema(path: Path, content: Any) -> None:
    """Refuse what a file holds if it is not of this version's schema.

    Raises:
        InputError: It is no object, or of another schema.
    """
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        schema = content.get("schema") if isinstance(content, dict) else None
        raise InputError(f"{path}: schema {schema}; this kdbench reads schema {SCHEMA}")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Replace a file by JSON with sorted keys, six decimals, and null for non-finite numbers."""
    put_pieces(path, map(str.encode, json_pieces(content)))


def json_text(content: Mapping[str, Any]) -> str:
    """JSON with sorted keys, six decimals, and null for non-finite numbers."""
    return "".join(json_pieces(content))


def holds(path: Path, pieces: Iterable[bytes]) -> bool:
    """Whether a file exists and its content is that of the pieces, read side by side."""
    if not path.exists():
        return False
    with path.open("rb") as stream:
        return all(stream.read(len(piece)) == piece for piece in pieces) and not stream.read(1)


def sha256_of_file(path: Path) -> str:
    """The SHA-256 of a file's content, without reading it into memory as a whole."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def put_text(path: Path, text: str) -> None:
    """Replace a file by a text in UTF-8, atomically; newlines are kept as they are."""
    put_bytes(path, text.encode())


def put_bytes(path: Path, content: bytes) -> None:
    """Replace a file atomically."""
    put_pieces(path, [content])


def put_pieces(path: Path, pieces: Iterable[bytes]) -> None:
    """Replace a file atomically by the pieces of its content, one in memory at a time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stem = f".{path.name}.{platform.node()}."
    temporary = path.with_name(f"{stem}{os.getpid()}")
    try:
        with temporary.open("wb") as stream:
            stream.writelines(pieces)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except OSError as error:  # a full disk has no file name, and users do not know the temporary
        error.filename, error.filename2 = str(path), None
        raise
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    remove_leftovers(path.parent, stem)


def remove_leftovers(folder: Path, stem: str) -> None:
    """Remove temporary files and folders whose process was killed while it wrote them.

    Args:
        folder: Folder that holds them.
        stem: Start of their names; the process id follows.
    """
    for leftover in folder.glob(f"{glob.escape(stem)}*"):
        pid = leftover.name.removeprefix(stem)
        if pid.isdecimal() and is_alive(int(pid)):
            continue
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


@contextmanager
def writing_to(place: Path | str) -> Iterator[None]:
    """Turn the errors that libraries raise when a disk is full into a line that names the place.

    Raises:
        InputError: a file could not be written whole.
    """
    from safetensors import SafetensorError

    try:
        yield
    except (SafetensorError, RuntimeError) as error:
        text = " ".join(str(error).split())
        of_torch = any(
            word in text for word in ("PytorchStreamWriter", "inline_container", "write")
        )
        if isinstance(error, SafetensorError) or of_torch:
            raise InputError(f"{place}: cannot be written: {text[:200]}") from error
        raise


def sync_folder(folder: Path) -> None:
    """Have the disk keep a folder with everything in it; it survives a power cut from here on."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            _sync(path)
        elif path.is_dir():
            sync_entries(path)
    sync_entries(folder)


def sync_entries(folder: Path) -> None:
    """Have the disk keep the names in a folder, such as one that was just put there."""
    try:
        _sync(folder)
    except OSError as error:  # some file systems cannot sync a folder
        if error.errno not in (errno.EINVAL, errno.EACCES):
            raise


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
