"""The runs of a results folder, as tables and reports read them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kdbench.store.folder import RunFolder
from kdbench.store.results import TaskResult


@dataclass(frozen=True)
class StoredRun:
    """A run that has begun.

    Attributes:
        folder: Folder relative to the results, `model/run`.
        record: Content of `run.json`.
        results: Results by task.
        groups: Results by group of tasks.
        trainings: Runs of one recipe with different training seeds, whose mean this run is; empty
            for a single run.
    """

    folder: str
    record: Mapping[str, Any] = field(repr=False)
    results: Mapping[str, TaskResult] = field(repr=False)
    groups: Mapping[str, TaskResult] = field(default_factory=dict, repr=False)
    trainings: tuple["StoredRun", ...] = field(default=(), repr=False)

    def result(self, name: str) -> TaskResult | None:
        """Return the result of a task or of a group; None if there is none."""
        return self.results.get(name) or self.groups.get(name)

    @property
    def model(self) -> str:
        """Name of the model."""
        return str(self.record["model"]["name"])

    @property
    def method(self) -> str | None:
        """Label of the method; None if it has none."""
        return self.record["method"] or None

    @property
    def label(self) -> str:
        """Label of the row: method and model; of several trainings, whose models differ, method."""
        if self.trainings:
            return self.method or self.model
        if self.method and self.method != self.model:
            return f"{self.method} ({self.model})"
        return self.model

    @property
    def training_seed(self) -> int | None:
        """Seed of the training; None if it is unknown, or several."""
        seed = (self.record.get("training") or {}).get("seed")
        return None if self.trainings or seed is None else int(seed)

    @property
    def parameters(self) -> int | None:
        """Number of parameters of the model; None if unknown."""
        known = self.record["model"].get("parameters")
        return None if known is None else int(known)

    @property
    def is_own_teacher(self) -> bool:
        """Whether the run compares the teacher with itself."""
        sha256 = self.record["model"].get("sha256")
        teachers = [result.teacher for result in self.results.values() if result.teacher]
        return sha256 is not None and any(t.get("sha256") == sha256 for t in teachers)


def stored_runs(results: Path) -> Iterator[StoredRun]:
    """Yield the runs of a results folder by path; none if the folder does not exist.

    Args:
        results: Folder of the results.

    Raises:
        InputError: A file is not the record of a run, or not a result.
    """
    for file in sorted(results.glob("*/*/run.json")):
        folder = RunFolder(file.parent)
        if folder.read_whole_run().get("auxiliary"):  # an extra seed of a teacher
            continue
        yield stored_run(folder, results)


def stored_run(folder: RunFolder, results: Path) -> StoredRun:
    """Read a run.

    Args:
        folder: Folder of the run.
        results: Folder of the results, in which it is.

    Raises:
        InputError: A file is not the record of a run, or not a result.
    """
    return StoredRun(
        str(folder.path.relative_to(results)),
        folder.read_whole_run(),
        {result.task: result for result in folder.tasks()},
        {result.task: result for result in folder.groups()},
    )


def run_folders(name: str, results: Path) -> list[Path]:
    """Return the folders of the runs that a name stands for in the results.

    Args:
        name: Name of a model, or `model/run`.
        results: Folder of the results.
    """
    if (results / name / "run.json").is_file():
        return [results / name]
    return sorted(file.parent for file in (results / name).glob("*/run.json"))
