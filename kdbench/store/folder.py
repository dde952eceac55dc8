"""The files of a run.

    results/<model>/<run>/run.json               identity, environment, timing, status
    results/<model>/<run>/<task>.json            fingerprint, metrics, scores of each document
    results/<model>/<run>/groups/<group>.json    means of a group of lm-eval over its tasks
    results/<model>/<run>/samples/<task>.jsonl   one line per document and seed, as they finish
    results/<model>/<run>/samples/<task>.prompts.jsonl   one line per document: what was asked
    results/<model>/<run>/samples/<task>.tokens-<hash>.jsonl   how a teacher agrees with each token

Small files are replaced atomically. Samples are appended and flushed; a line that a crash cut short
is dropped. Task files contain no times and no paths, so equal runs have equal bytes.
"""

import glob
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from itertools import zip_longest
from pathlib import Path
from typing import Any

from kdbench.errors import InputError
from kdbench.store.prompts import StoredPrompt, prompt_record, read_prompt
from kdbench.store.results import TaskResult, open_task, read_task
from kdbench.store.run_schema import check_run
from kdbench.store.schema import FieldError
from kdbench.system.files import SCHEMA, LinesFile, holds, read_json, write_json
from kdbench.system.locks import only_here, remove_empty
from kdbench.system.plain_json import json_pieces
from kdbench.system.remote.hooks import claim, fetch_samples

_LONGEST_NAME = 255  # bytes, of a file system


def _drop_unset(content: dict[str, Any], keys: Iterable[str]) -> None:
    """Remove fields that are set only by a comparison with a teacher, or by a judge."""
    for key in keys:
        if content[key] is None or content[key] == {}:
            del content[key]


def _are_stored(file: LinesFile, prompts: Iterable[StoredPrompt]) -> bool:
    """Whether a file holds these prompts and no others."""
    lines = (read_prompt(line, str(file.path)) for line in file.stream())
    return all(stored == prompt for stored, prompt in zip_longest(lines, prompts))


def run_id(protocol_name: str, identity: Mapping[str, Any]) -> str:
    """Return a run's folder name: the protocol's name and eight digits of a hash.

    Args:
        protocol_name: Name of the protocol.
        identity: Everything that affects the texts, as JSON values.
    """
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:8]
    name = re.sub(r"[^A-Za-z0-9._+=-]+", "-", protocol_name)
    return f"{name[: _LONGEST_NAME - len(digest) - 1]}-{digest}"


def generated_run_id(
    checkpoint: str, protocol: Mapping[str, Any], limit: int | None, dtype: str, backend: str
) -> str:
    """Return the folder name of a run whose texts are generated from a checkpoint.

    Args:
        checkpoint: SHA-256 of the checkpoint.
        protocol: All fields of the protocol.
        limit: Number of documents of each task; None for all.
        dtype: Value of `dtype=`.
        backend: Identity of the backend.
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
    """The folder of one run.

    Args:
        path: The folder, which may not exist yet.
    """

    def __init__(self, path: Path):
        self.path = path

    def read_run(self) -> dict[str, Any]:
        """Return the content of `run.json`, unchecked; empty if there is none yet."""
        path = self.path / "run.json"
        return read_json(path) if path.exists() else {}

    def read_checked_run(self) -> dict[str, Any]:
        """Return the content of `run.json`; empty if there is none yet.

        Raises:
            InputError: The file is not the record of a run.
        """
        return self.read_whole_run() if (self.path / "run.json").exists() else {}

    def read_whole_run(self) -> dict[str, Any]:
        """Return the content of `run.json`, with all its fields.

        Raises:
            InputError: There is no such file, or it is not the record of a run.
        """
        run = self.read_run()
        try:
            check_run(run)
        except FieldError as fault:
            raise InputError(
                f"{self.path / 'run.json'}: not the record of a run: {fault}"
            ) from None
        return run

    def write_run(self, run: Mapping[str, Any]) -> None:
        """Replace `run.json`."""
        write_json(self.path / "run.json", {"schema": SCHEMA, **run})

    def read_task(self, task: str) -> TaskResult | None:
        """Return the result of a task; None if there is none."""
        path = self.path / f"{task}.json"
        return read_task(path) if path.exists() else None

    def has_task(self, task: str) -> bool:
        """Whether there is a result of a task."""
        return (self.path / f"{task}.json").is_file()

    def write_task(self, result: TaskResult) -> TaskResult:
        """Replace `<task>.json`, and return the result as stored there, rounded."""
        return self._write(self.path / f"{result.task}.json", result)

    def write_group(self, result: TaskResult) -> TaskResult:
        """Replace `groups/<group>.json`, and return the result as stored there."""
        return self._write(self.path / "groups" / f"{result.task}.json", result)

    def _write(self, path: Path, result: TaskResult) -> TaskResult:
        metrics = {name: asdict(metric) for name, metric in result.metrics.items()}
        for metric in metrics.values():
            _drop_unset(metric, ("micro", "bound", "ceiling", "floor"))
        content = {**vars(result), "metrics": metrics, "documents": dict(result.documents)}
        _drop_unset(content, ("teacher", "curves", "judge"))
        # A finished run can be read-only.
        if not holds(path, map(str.encode, json_pieces(content))):
            write_json(path, content)
        return read_task(path)

    def tasks(self, in_parts: bool = False) -> Iterator[TaskResult]:
        """Yield the results of the run, by name of the task.

        Args:
            in_parts: Whether metrics and columns are read and checked only when they are asked for.
        """
        for path in sorted(self.path.glob("*.json")):
            if path.name != "run.json":
                yield open_task(path) if in_parts else read_task(path)

    def groups(self, in_parts: bool = False) -> Iterator[TaskResult]:
        """Yield the results of groups of tasks, by name of the group; `in_parts` as for `tasks`."""
        for path in sorted((self.path / "groups").glob("*.json")):
            yield open_task(path) if in_parts else read_task(path)

    def lines(self, name: str) -> LinesFile:
        """Return the file `samples/<name>.jsonl`, to which lines are appended."""
        fetch_samples(self.path)
        return LinesFile(self.path / "samples" / f"{name}.jsonl")

    def prompts(self, task: str) -> list[StoredPrompt]:
        """Return what a task asked, in document order; empty if that is not stored.

        Raises:
            InputError: The file is damaged; the message names the line.
        """
        file = self._prompts(task)
        if file.is_damaged():
            raise InputError(f"{file.path}: ends within a line, or has a line twice")
        return [
            read_prompt(record, f"{file.path}:{number}")
            for number, record in enumerate(file.read(), start=1)
        ]

    def has_prompts(self, task: str) -> bool:
        """Whether there is a file of what a task asked, possibly a damaged one."""
        return self._prompts(task).path.exists()

    def write_prompts(self, task: str, prompts: Sequence[StoredPrompt]) -> None:
        """Replace what a task asked, atomically, unless it is stored already."""
        file = self._prompts(task)
        with suppress(InputError):
            if not file.is_damaged() and _are_stored(file, prompts):
                return
        file.replace(map(prompt_record, prompts))

    def _prompts(self, task: str) -> LinesFile:
        return self.lines(f"{task}.prompts")

    def shard_files(self, task: str) -> list[LinesFile]:
        """Return the files of samples that the shards of a task have generated."""
        files = (self.path / "samples").glob(f"{task}.shard-*.jsonl")
        return [LinesFile(path) for path in sorted(files)]

    def damaged_files(self, task: str) -> list[LinesFile]:
        """Return the files of a finished task's samples and values that a crash has damaged.

        Raises:
            InputError: A line is not a JSON object.
        """
        folder, name = self.path / "samples", glob.escape(task)
        # Neither asked texts nor token details affect a number.
        others = {self._prompts(task).path, *folder.glob(f"{name}.tokens-*jsonl")}
        paths = {*folder.glob(f"{name}.*jsonl")} - others
        files = [LinesFile(path) for path in sorted(paths)]
        for file in files:
            for _ in file.stream():
                pass
        return [file for file in files if file.is_damaged()]

    def update_run(self, change: Callable[[dict[str, Any]], Mapping[str, Any]]) -> None:
        """Change `run.json` under a lock.

        Args:
            change: Function from the old content, empty for a new run, to the new content.
        """
        old = self.read_run()
        if old and change(dict(old)) == old:  # so that a finished run can be read-only
            return
        with self.lock("run", wait=True):
            old = self.read_run()
            new = change(dict(old))
            if new != old:
                self.write_run(new)

    @contextmanager
    def lock(self, name: str, wait: bool = False) -> Iterator[None]:
        """Hold a lock on a part of the run.

        Args:
            name: Name of the part, such as a task.
            wait: Whether to wait for another process that holds the lock.

        Raises:
            InputError: Another process holds the lock, and `wait` is false.
        """
        lock = self.path / "samples" / f".{name}.lock"
        busy = (
            f"{lock}: another kdbench process is already running '{name}'; wait for it, or share "
            "the work with shard=I/N"
        )
        with only_here(lock, busy, wait) as made:
            try:
                claim(self.path, wait)
                yield
            finally:
                if not (self.path / "run.json").exists():
                    lock.unlink(missing_ok=True)
                    remove_empty(made)
