"""A pack: the small files of many runs as one file, for a repository.

    <results>/packed.jsonl.xz    runs, chosen metrics of their results, and the marks of `fill`

The first line of the text has the version, the number of runs and which metrics were left out. Each
further line is a run: its path below the pack's folder, its record, and for each task and group the
result with the chosen metrics and the SHA-256 of the file that it was taken from. The last line has
the marks. Equal results make equal bytes. A run with a folder goes before a packed one of its path.
"""

import json
import lzma
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from kdbench.errors import InputError
from kdbench.system.files import put_bytes, sha256_of_file

PACK = "packed.jsonl.xz"
"""Name of a pack in a folder of results."""
MARKS = "filled"
"""Folder of the marks of `fill`, in a folder of results."""
_VERSION = 1


@dataclass(frozen=True)
class PackedResult:
    """The result of a task or group in a pack.

    Attributes:
        content: What its file held, with the chosen metrics alone.
        sha256: Of that file.
    """

    content: Mapping[str, Any] = field(repr=False)
    sha256: str


@dataclass(frozen=True)
class PackedRun:
    """A run in a pack.

    Attributes:
        path: Its folder, relative to that of the pack.
        record: Content of `run.json`.
        tasks: Results by task.
        groups: Results by group of tasks.
    """

    path: str
    record: Mapping[str, Any] = field(repr=False)
    tasks: Mapping[str, PackedResult] = field(repr=False)
    groups: Mapping[str, PackedResult] = field(repr=False)


@dataclass(frozen=True)
class Pack:
    """The content of a pack.

    Attributes:
        runs: Runs by path.
        marks: Content of the evaluations' marks, by name of their file.
        left_out: Metrics that some run had, and that were not packed.
    """

    runs: Mapping[str, PackedRun] = field(repr=False)
    marks: Mapping[str, Mapping[str, Any]] = field(repr=False)
    left_out: tuple[str, ...] = ()

    def runs_without_folder(self, folder: Path) -> list[str]:
        """The runs that are read from the pack, because they have no folder of their own.

        Args:
            folder: Folder of the pack.
        """
        return [path for path in self.runs if not (folder / path / "run.json").exists()]


_read: dict[Path, tuple[tuple[int, ...], Pack]] = {}


def pack_in(folder: Path) -> Pack | None:
    """The pack of a folder of results, read once while its file stays the same; None without one.

    Raises:
        InputError: It is damaged, or of another version.
    """
    file = folder / PACK
    try:
        status = file.stat()
    except OSError:
        return None
    signature = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    known = _read.get(file)
    if known is None or known[0] != signature:
        known = _read[file] = signature, read_pack(file)
    return known[1]


def packed_run(folder: Path) -> PackedRun | None:
    """The packed run that would have this folder; None if there is none, or if the folder has one.

    Raises:
        InputError: A pack above it is damaged.
    """
    if (folder / "run.json").exists():
        return None
    for above in folder.parents:
        pack = pack_in(above)
        if pack is not None and (run := pack.runs.get(folder.relative_to(above).as_posix())):
            return run
    return None


def is_run(folder: Path) -> bool:
    """Whether a folder holds a run, or is that of a packed one."""
    return (folder / "run.json").is_file() or packed_run(folder) is not None


def packed_mark(file: Path) -> Mapping[str, Any] | None:
    """The content of an evaluation's mark that has no file; None if it is not packed either."""
    pack = pack_in(file.parent.parent)
    return None if pack is None else pack.marks.get(file.name)


def result_hash(folder: Path, task: str) -> str | None:
    """SHA-256 of the file of a task's result, which a packed run knows too; None without one."""
    file = folder / f"{task}.json"
    if file.exists():
        return sha256_of_file(file)
    run = packed_run(folder)
    return run.tasks[task].sha256 if run is not None and task in run.tasks else None


def write_pack(file: Path, pack: Pack) -> int:
    """Replace a pack, and return its size in bytes."""
    content = lzma.compress("".join(f"{line}\n" for line in _lines(pack)).encode(), preset=9)
    put_bytes(file, content)
    return len(content)


def read_pack(file: Path) -> Pack:
    """Read a pack.

    Raises:
        InputError: It cannot be read, is damaged, or of another version.
    """
    from pydantic_core import from_json

    content = _content(file)
    way_out = "restore it, or delete it and run kdbench pack"
    try:
        # Not `splitlines`, which also ends lines at characters that JSON leaves as they are.
        lines = lzma.decompress(content).removesuffix(b"\n").split(b"\n")
        head, *rest = (from_json(line, allow_inf_nan=False) for line in lines)
        version = head["pack"]
    except (lzma.LZMAError, EOFError, ValueError, TypeError, KeyError, RecursionError):
        raise InputError(f"{file}: damaged or cut short; {way_out}") from None
    if version != _VERSION:
        raise InputError(f"{file}: version {version}; this kdbench reads version {_VERSION}")
    try:
        *runs, marks = rest
        if len(runs) != head["runs"]:
            raise ValueError("a line is missing")
        by_path = {run.path: run for run in map(_run, runs)}
        if len(by_path) < len(runs):
            raise ValueError("a run is there twice")
        by_name = {name: dict(mark) for name, mark in marks["marks"].items()}
        return Pack(by_path, by_name, tuple(head["left_out"]))
    except (ValueError, TypeError, KeyError, AttributeError):
        raise InputError(f"{file}: is no pack of results; {way_out}") from None


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except IsADirectoryError:
        raise InputError(
            f"{file}: is a folder, and a pack of results is a file; rename or move the folder"
        ) from None
    except OSError as error:
        raise InputError(
            f"{file}: cannot be read: {error.strerror}; make it readable, or move it away"
        ) from None


def _run(line: Mapping[str, Any]) -> PackedRun:
    path = PurePosixPath(line["run"])
    if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in str(path):
        raise ValueError("leaves its folder")
    results = [
        {name: PackedResult(dict(of["content"]), str(of["sha256"])) for name, of in part.items()}
        for part in (line["tasks"], line["groups"])
    ]
    return PackedRun(str(path), dict(line["record"]), *results)


def _lines(pack: Pack) -> Iterator[str]:
    yield _text({"pack": _VERSION, "runs": len(pack.runs), "left_out": sorted(pack.left_out)})
    for _, run in sorted(pack.runs.items()):
        parts = {"tasks": run.tasks, "groups": run.groups}
        results = {key: _shown(part.items()) for key, part in parts.items()}
        yield _text({"run": run.path, "record": run.record, **results})
    yield _text({"marks": pack.marks})


def _shown(results: Iterable[tuple[str, PackedResult]]) -> dict[str, Any]:
    return {name: {"content": of.content, "sha256": of.sha256} for name, of in results}


def _text(content: Mapping[str, Any]) -> str:
    return json.dumps(
        content, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
    )
