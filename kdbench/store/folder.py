"""The files of a run. The path is the key; nothing that was computed is ever lost.

    results/<model>/<run>/run.json               identity, environment, timing, status
    results/<model>/<run>/<task>.json            fingerprint, metrics, scores of each document
    results/<model>/<run>/samples/<task>.jsonl   a line for each (document, seed), as they finish

Small files are written whole and put in place; samples are appended and flushed, and a line that a
crash cut short is dropped. Task files hold no time and no path: equal runs give equal bytes.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kdbench.errors import InputError
from kdbench.store.results import TaskResult, read_task
from kdbench.system.files import SCHEMA, LinesFile, read_json, write_json
from kdbench.system.locks import only_here, remove_empty

_RUN_FIELDS = {
    "model": dict,
    "method": str | None,
    "setting": str | None,
    "protocol": dict,
    "limit": int | None,
    "status": str,
    "tasks": dict,
}


def _leave_out(content: dict[str, Any], keys: Iterable[str]) -> None:
    """What only a comparison with a teacher has; files of other runs do not change for it."""
    for key in keys:
        if content[key] is None or content[key] == {}:
            del content[key]


def run_id(protocol_name: str, identity: Mapping[str, Any]) -> str:
    """A run's folder name: the protocol, and eight digits of all that went into the texts."""
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:8]
    return f"{re.sub(r'[^A-Za-z0-9._+=-]+', '-', protocol_name)}-{digest}"


def generated_run_id(
    checkpoint: str, protocol: Mapping[str, Any], limit: int | None, dtype: str, backend: str
) -> str:
    """The folder name of a run whose texts a checkpoint generates.

    Args:
        checkpoint: its SHA-256.
        protocol: all its fields.
        limit: first so many documents.
        dtype: as asked for.
        backend: what generates.
    """
    identity = {
        "checkpoint": checkpoint,
        "protocol": protocol,
        "limit": limit,
        "dtype": dtype,
        "backend": backend,
    }
    return run_id(protocol["name"], identity)


class RunFolder:
    """The folder of one run."""

    def __init__(self, path: Path):
        self.path = path

    def read_run(self) -> dict[str, Any]:
        """`run.json`, empty if there is none yet."""
        path = self.path / "run.json"
        return read_json(path) if path.exists() else {}

    def read_whole_run(self) -> dict[str, Any]:
        """`run.json` of a run that was begun.

        Raises:
            InputError: there is none, or it lacks a field.
        """
        run = self.read_run()
        path = self.path / "run.json"
        for key, kinds in _RUN_FIELDS.items():
            if key not in run:
                raise InputError(f"{path}: not the record of a run: '{key}' is missing")
            if not isinstance(run[key], kinds):
                raise InputError(f"{path}: not the record of a run: '{key}' is of another type")
        for key in ("model", "protocol"):
            if "name" not in run[key]:
                raise InputError(f"{path}: not the record of a run: '{key}' has no name")
        return run

    def write_run(self, run: Mapping[str, Any]) -> None:
        """Put `run.json` in place."""
        write_json(self.path / "run.json", {"schema": SCHEMA, **run})

    def read_task(self, task: str) -> TaskResult | None:
        """A task's result, None if there is none."""
        path = self.path / f"{task}.json"
        return read_task(path) if path.exists() else None

    def write_task(self, result: TaskResult) -> TaskResult:
        """Put `<task>.json` in place; the result as it stands there, rounded."""
        path = self.path / f"{result.task}.json"
        content = asdict(result)
        for one in content["metrics"].values():
            _leave_out(one, ("micro", "bound", "ceiling", "floor"))
        _leave_out(content, ("teacher", "curves"))
        write_json(path, content)
        return read_task(path)

    def tasks(self) -> Iterator[TaskResult]:
        """All results of the run."""
        for path in sorted(self.path.glob("*.json")):
            if path.name != "run.json":
                yield read_task(path)

    def lines(self, name: str) -> LinesFile:
        """The appended file `samples/<name>.jsonl`."""
        return LinesFile(self.path / "samples" / f"{name}.jsonl")

    def shard_files(self, task: str) -> list[LinesFile]:
        """The samples that the shards of a task have made."""
        files = (self.path / "samples").glob(f"{task}.shard-*.jsonl")
        return [LinesFile(path) for path in sorted(files)]

    def update_run(self, change: Callable[[dict[str, Any]], Mapping[str, Any]]) -> None:
        """Change `run.json` while no other process does."""
        with self.lock("run", wait=True):
            old = self.read_run()
            new = change(dict(old))
            if new != old:
                self.write_run(new)

    @contextmanager
    def lock(self, name: str, wait: bool = False) -> Iterator[None]:
        """Keep other processes off a part of the run.

        Raises:
            InputError: another process holds it, and we do not wait.
        """
        lock = self.path / "samples" / f".{name}.lock"
        busy = (
            f"{lock}: another kdbench process is at work on '{name}'; wait for it, or share "
            "the work with shard=I/N"
        )
        with only_here(lock, busy, wait) as made:
            try:
                yield
            finally:
                if not (self.path / "run.json").exists():
                    lock.unlink(missing_ok=True)
                    remove_empty(made)
