"""A run for reading, whether it has a folder or is packed."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from kdbench.errors import InputError
from kdbench.store.folder import RunFolder
from kdbench.store.packs import PackedRun, packed_run
from kdbench.store.results import TaskResult, task_from


def open_run(folder: Path) -> RunFolder:
    """A run for reading: its folder, or what a pack holds of it.

    What writes runs takes `RunFolder` itself, and neither sees packed runs nor changes them.

    Args:
        folder: Folder of the run, which a packed one would have.

    Raises:
        InputError: A pack is damaged.
    """
    packed = packed_run(folder)
    return RunFolder(folder) if packed is None else PackedFolder(folder, packed)


def run_with_samples(folder: Path, key: str) -> RunFolder:
    """A run for what reads its samples or writes into it.

    Args:
        folder: Folder of the run.
        key: Setting that gave the run, for messages.

    Raises:
        InputError: The run is packed.
    """
    if packed_run(folder) is not None:
        raise InputError(
            f"{key}={folder}: is packed, which keeps no samples; evaluate the model again for them"
        )
    return RunFolder(folder)


class PackedFolder(RunFolder):
    """A packed run, with the reading methods of a run's folder; samples and prompts it has none.

    Args:
        path: The folder that it would have.
        run: The run.
    """

    def __init__(self, path: Path, run: PackedRun):
        super().__init__(path)
        self._run = run

    def read_run(self) -> dict[str, Any]:
        """Return the content of `run.json`, unchecked."""
        return dict(self._run.record)

    def has_task(self, task: str) -> bool:
        """Whether there is a result of a task."""
        return task in self._run.tasks

    def read_task(self, task: str) -> TaskResult | None:
        """Return the result of a task; None if there is none."""
        return self._result(task, "") if task in self._run.tasks else None

    def tasks(self, in_parts: bool = False) -> Iterator[TaskResult]:  # noqa: ARG002
        """Yield the results of the run, by name of the task."""
        for task in sorted(self._run.tasks):
            yield self._result(task, "")

    def groups(self, in_parts: bool = False) -> Iterator[TaskResult]:  # noqa: ARG002
        """Yield the results of groups of tasks, by name of the group."""
        for group in sorted(self._run.groups):
            yield self._result(group, "groups")

    def _result(self, name: str, below: str) -> TaskResult:
        results = self._run.groups if below else self._run.tasks
        return task_from(results[name].content, self.path / below / f"{name}.json")

    def write_run(self, run: Mapping[str, Any]) -> None:  # noqa: ARG002
        """Refuse to change a packed run."""
        raise self._is_packed()

    def update_run(self, change: Callable[[dict[str, Any]], Mapping[str, Any]]) -> None:
        """Refuse to change a packed run, unless nothing would change.

        Raises:
            InputError: Something would.
        """
        old = self.read_run()
        if change(dict(old)) != old:
            raise self._is_packed()

    def _write(self, path: Path, result: TaskResult) -> TaskResult:  # noqa: ARG002
        raise self._is_packed()

    def _is_packed(self) -> InputError:
        return InputError(
            f"{self.path}: is packed, and packed runs do not change; measure the model again for "
            "a run with a folder"
        )
