"""The runs of a results folder, as tables and reports read them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kdbench.errors import InputError, nearest_of, nearest_path
from kdbench.store.folder import RunFolder
from kdbench.store.packed_folder import open_run
from kdbench.store.packs import is_run
from kdbench.store.places import run_folders_in
from kdbench.store.results import TaskResult


@dataclass(frozen=True)
class StoredRun:
    """A run that has begun.

    Attributes:
        folder: Folder relative to the results, such as `model/run`; `.` for the results themselves.
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
        """Whether the run compares the teacher with itself, and not with its quantised weights."""
        model = self.record["model"]
        sha256, here = model.get("sha256"), when_loaded(model.get("quantization"))
        teachers = [result.teacher for result in self.results.values() if result.teacher]
        return sha256 is not None and any(
            t.get("sha256") == sha256 and when_loaded(t.get("dtype")) == here for t in teachers
        )


def when_loaded(words: object) -> str | None:
    """How weights were quantised while they were loaded, which their hash does not show.

    Args:
        words: `quantization` of a model in `run.json`, or `dtype` of a teacher in a result.

    Returns:
        `8bit` or `4bit`; None if they were not.
    """
    last = str(words).rpartition(" ")[2]
    return last if last in ("8bit", "4bit") else None


def stored_runs(results: Path, in_parts: bool = False) -> Iterator[StoredRun]:
    """Yield the runs at any depth of a results folder by path; none if the folder does not exist.

    Args:
        results: Folder of the results.
        in_parts: Whether metrics and columns are read and checked only when they are asked for: for
            a verb that needs few of many, and is done before the files change.

    Raises:
        InputError: A file is not the record of a run, or not a result.
    """
    for path in run_folders_in(results):
        folder = open_run(path)
        if folder.read_whole_run().get("auxiliary"):  # an extra seed of a teacher
            continue
        yield stored_run(folder, results, in_parts)


def stored_run(folder: RunFolder, results: Path, in_parts: bool = False) -> StoredRun:
    """Read a run.

    Args:
        folder: Folder of the run.
        results: Folder of the results, in which it is.
        in_parts: As for `stored_runs`.

    Raises:
        InputError: A file is not the record of a run, or not a result.
    """
    return StoredRun(
        folder.path.relative_to(results).as_posix(),
        folder.read_whole_run(),
        {result.task: result for result in folder.tasks(in_parts)},
        {result.task: result for result in folder.groups(in_parts)},
    )


def run_folders(name: str, results: Path) -> list[Path]:
    """Return the folders of the runs that a name stands for in the results.

    A path below the results goes first, then the end of a path, then the name or method of a model.

    Args:
        name: Name of a model or of a run, or more of its path (`model/run`, `demo/GKD`), the hash
            at the end of a run's name, or the label of a method.
        results: Folder of the results.
    """
    if is_run(results / name):
        return [results / name]
    for folder in (results / name, Path(name)):
        if below := sorted(file.parent for file in folder.glob("*/run.json")):
            return _shown(below)
    known = run_folders_in(results)
    if below := [path for path in known if path.parent == results / name]:  # of a packed model
        return _shown(below)
    ending = [path for path in known if names_folder(name, path.relative_to(results).as_posix())]
    return _shown(ending or [path for path in known if name in _labels(path)])


def one_run(name: Path, key: str, results: Path) -> Path:
    """Return the folder of the only run that a name stands for.

    Args:
        name: Folder of a run, or a name as for `run_folders`.
        key: Setting that gave the name, for messages.
        results: Folder of the results.

    Raises:
        InputError: There is no such run, or several.
    """
    if is_run(name):
        return name
    if name.is_file():
        texts = "; samples= takes a file of samples" if ".json" in name.suffix else ""
        raise InputError(f"{key}={name}: is a file, and a run is a folder{texts}")
    folders = run_folders(str(name), results)
    if len(folders) > 1:
        several = ", ".join(map(str, folders))
        raise InputError(f"{key}={name}: has several runs; give one: {several}")
    if not folders and not name.is_dir():
        near = nearest_path(name) or nearest_of(str(name), known_runs(results))
        raise InputError(f"{key}={name}: no such folder, and no run in results={results}{near}")
    return folders[0] if folders else name


def names_folder(name: str, folder: str) -> bool:
    """Whether a name means a run: its path or more, or the end of its path, or of its model's.

    Args:
        name: The name; the hash at the end of a run's name is one, too.
        folder: Folder of the run, relative to the results.
    """
    name = Path(name).as_posix()
    model = folder.rpartition("/")[0]
    is_end = any(f"/{path}".endswith(f"/{name}") for path in (folder, model))
    return is_end or folder.endswith(f"-{name}") or f"/{name}".endswith(f"/{folder}")


def known_runs(results: Path) -> list[str]:
    """The names that runs have in the results: folders, models and methods."""
    known = set[str]()
    for path in _shown(run_folders_in(results)):
        known |= {path.relative_to(results).as_posix(), *_labels(path)}
    return sorted(known)


def _shown(folders: Sequence[Path]) -> list[Path]:
    """The folders without those of a teacher's extra seeds, unless there are no others."""
    return [path for path in folders if not _record(path).get("auxiliary")] or list(folders)


def _labels(folder: Path) -> set[str]:
    """The model's name in a run, and the label of its method; empty for a broken record."""
    record = _record(folder)
    model = record.get("model")
    names = [model.get("name") if isinstance(model, dict) else None, record.get("method")]
    return {name for name in names if isinstance(name, str) and name}


def _record(folder: Path) -> dict[str, Any]:
    try:
        record = open_run(folder).read_run()
    except InputError:  # reported where the run is read
        return {}
    return record if isinstance(record, dict) else {}
