"""Files that survive a crash: written whole and put in place, or grown by whole lines."""

import errno
import glob
import json
import math
import os
import platform
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from kdbench.errors import InputError
from kdbench.system.processes import is_alive

SCHEMA = 1


class LinesFile:
    """A JSONL file that grows by whole lines."""

    def __init__(self, path: Path):
        self.path = path

    def read(self, whole: bool = False) -> list[dict[str, Any]]:
        """All lines; of our own files, a last one without its newline is what a crash left.

        Args:
            whole: the file is somebody's: its last line counts, newline or not.

        Raises:
            InputError: a line that is no JSON object.
        """
        if not self.path.exists():
            return []
        text = self.path.read_bytes()
        if whole and not text.endswith(b"\n"):
            text += b"\n" * bool(text)
        lines = text[: text.rfind(b"\n") + 1].split(b"\n")[:-1]
        return [
            parse_line(line, f"{self.path}:{number}") for number, line in enumerate(lines, start=1)
        ]

    @contextmanager
    def appending(self) -> Iterator["Appender"]:
        """Append lines; the file is opened at the first, an unfinished last line cut off."""
        appender = Appender(self.path)
        try:
            yield appender
        finally:
            appender.close()

    def replace(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Write the whole file anew."""
        put_text(self.path, "".join(_line(record) for record in records))


class Appender:
    """A LinesFile that is being appended to."""

    def __init__(self, path: Path):
        self._path = path
        self._stream: BinaryIO | None = None

    def add(self, record: Mapping[str, Any]) -> None:
        """Append a line; it survives this process from here on."""
        if self._stream is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = self._path.open("ab+")
            self._stream.seek(0)
            self._stream.truncate(self._stream.read().rfind(b"\n") + 1)
        self._stream.write(_line(record).encode())
        self._stream.flush()

    def sync(self) -> None:
        """Have the disk keep what was added; it survives a power cut from here on."""
        if self._stream is not None:
            os.fsync(self._stream.fileno())

    def close(self) -> None:
        """Close the file, if it was opened."""
        if self._stream is not None:
            self._stream.close()


def parse_line(line: bytes, place: str) -> dict[str, Any]:
    """A JSON object from a line.

    Raises:
        InputError: it is none, or no UTF-8.
    """
    try:
        record = json.loads(line)
        json.dumps(record, ensure_ascii=False).encode()  # refuses lone surrogates
    except (ValueError, RecursionError) as error:
        raise InputError(f"{place}: not a line of JSON in UTF-8: {error}") from None
    if not isinstance(record, dict):
        raise InputError(f"{place}: not a JSON object")
    return record


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file of ours.

    Raises:
        InputError: broken JSON, or a schema that this version does not know.
    """
    from pydantic_core import from_json

    try:
        content = from_json(path.read_bytes())
    except ValueError as error:
        raise InputError(f"{path}: not JSON: {error}") from None
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        schema = content.get("schema") if isinstance(content, dict) else None
        raise InputError(f"{path}: schema {schema}; this kdbench reads schema {SCHEMA}")
    return content


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Sorted keys, six decimals, null for what is not finite; put in place whole."""
    put_text(path, _pretty(_plain(content), 0) + "\n")


def put_text(path: Path, text: str) -> None:
    """Write a file whole, or not at all, in UTF-8; newlines stay as they are."""
    put_bytes(path, text.encode())


def put_bytes(path: Path, content: bytes) -> None:
    """Write a file whole, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stem = f".{path.name}.{platform.node()}."
    temporary = path.with_name(f"{stem}{os.getpid()}")
    try:
        with temporary.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    for other in path.parent.glob(f"{glob.escape(stem)}*"):
        pid = other.name.removeprefix(stem)
        if not (pid.isdecimal() and is_alive(int(pid))):  # killed while it wrote
            other.unlink(missing_ok=True)


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
        if isinstance(error, SafetensorError) or "PytorchStreamWriter" in text or "write" in text:
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


def _line(record: Mapping[str, Any]) -> str:
    return json.dumps(_plain(record), ensure_ascii=False, sort_keys=True) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6) + 0.0 if math.isfinite(value) else None  # + 0.0: no -0.0
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value


def _pretty(value: Any, depth: int) -> str:
    """A line for each metric and each column of scores: small, and clean in a diff."""
    if depth == 2 or not isinstance(value, dict) or not value:
        return json.dumps(value, ensure_ascii=False, sort_keys=True)
    indent = " " * depth
    lines = (
        f"{indent} {json.dumps(key)}: {_pretty(value[key], depth + 1)}" for key in sorted(value)
    )
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
