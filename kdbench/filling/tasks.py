"""The tasks of a table: those that its means are over, and further ones."""

from collections.abc import Sequence
from pathlib import Path

from kdbench.filling.spec import TableSpec
from kdbench.store.runs import StoredRun
from kdbench.task.prompt_rows import SUFFIXES

_ENDINGS = sorted([*SUFFIXES, ".yaml", ".yml"], key=len, reverse=True)


def extra_names(spec: TableSpec) -> tuple[str, ...]:
    """The names in results of the tasks that are measured too; a file's is without its ending."""
    return tuple(_name(task) for task in spec.extra_tasks)


def _name(task: str) -> str:
    ending = next((ending for ending in _ENDINGS if task.endswith(ending)), "")
    return Path(task).name.removesuffix(ending) if ending else task


def shown_tasks(spec: TableSpec, runs: Sequence[StoredRun]) -> list[str]:
    """The names in results of the tasks that means are over.

    Args:
        spec: Specification of the table.
        runs: Runs of the table.
    """
    measured = dict.fromkeys(task for run in runs for task in run.results)
    # A task from a file is named by the file, not by its path in the specification.
    known = dict.fromkeys([*(task for task in spec.tasks if task in measured), *measured])
    return [task for task in known if task not in extra_names(spec)]
