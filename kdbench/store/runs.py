"""The runs of a results folder, as tables and reports read them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kdbench.store.folder import RunFolder
from kdbench.store.results import TaskResult


@dataclass(frozen=True)
class StoredRun:
    """A run that was begun.

    Attributes:
        folder: its place below the results, `model/run`.
        record: `run.json`.
        results: by task.
    """

    folder: str
    record: Mapping[str, Any] = field(repr=False)
    results: Mapping[str, TaskResult] = field(repr=False)

    @property
    def model(self) -> str:
        """The model's name."""
        return str(self.record["model"]["name"])

    @property
    def method(self) -> str | None:
        """The method's label, if it has one."""
        return self.record["method"] or None

    @property
    def label(self) -> str:
        """The row's name: the method and the model."""
        if self.method and self.method != self.model:
            return f"{self.method} ({self.model})"
        return self.model

    @property
    def parameters(self) -> int | None:
        """Of the model, if known."""
        known = self.record["model"].get("parameters")
        return None if known is None else int(known)

    @property
    def is_own_teacher(self) -> bool:
        """Whether it is the teacher, measured beside itself."""
        own = self.record["model"].get("sha256")
        teachers = [one.teacher for one in self.results.values() if one.teacher]
        return own is not None and any(one.get("sha256") == own for one in teachers)


def stored_runs(results: Path) -> Iterator[StoredRun]:
    """All runs of a results folder, by path; none if there is no such folder.

    Raises:
        InputError: a file that is no record of a run, or no result.
    """
    for file in sorted(results.glob("*/*/run.json")):
        folder = RunFolder(file.parent)
        record = folder.read_whole_run()
        if record.get("auxiliary"):  # a teacher's extra seed
            continue
        yield StoredRun(
            str(file.parent.relative_to(results)),
            record,
            {result.task: result for result in folder.tasks()},
        )
