"""What can be checked of `tasks=` and `data=` before lm-eval is imported, which takes seconds."""

from collections.abc import Sequence
from pathlib import Path

from kdbench.errors import InputError, nearest_path
from kdbench.system.bundled import bundled, load_module
from kdbench.task.load import data_folder, known_tasks, task_definition
from kdbench.task.model import TITLES


def check_tasks(names: Sequence[str], data: Path | None = None) -> None:
    """Check that tasks exist, and that the data sets of the papers' tasks do.

    Args:
        names: Names or paths of tasks, as in `tasks=`.
        data: Folder of the data sets; None for `KDBENCH_DATA`, else the Hub, which is not asked.

    Raises:
        InputError: A task, the folder or a data set does not exist.
    """
    if data is not None and not data.is_dir():
        raise InputError(f"data={data}: no such folder{nearest_path(data)}")
    folder, known = data_folder(data), known_tasks()
    for name in names:
        if ":" in name:  # of a library, which is as slow to ask as to load
            continue
        if name not in known and not Path(name).exists():
            task_definition(name)  # raises with the nearest name
        elif folder is not None and name in known and is_of_papers(known[name]):
            _check_data(name, folder)


def is_of_papers(file: Path) -> bool:
    """Whether a task is one of the papers', whose data sets have the names of their tasks."""
    return file.stem in TITLES and file.resolve().is_relative_to(bundled("tasks").resolve())


def _check_data(name: str, folder: Path) -> None:
    """Check that a data set is in the folder."""
    try:
        load_module("tasks/instruction.py").local_file(name, str(folder))
    except ValueError as error:
        raise InputError(str(error)) from None
