"""What can be checked of `tasks=` and `data=` before lm-eval is imported, which takes seconds."""

from collections.abc import Sequence
from pathlib import Path

from kdbench.errors import InputError
from kdbench.system.bundled import bundled, load_module
from kdbench.task.load import data_folder, known_tasks, task_definition


def check_tasks(names: Sequence[str], data: Path | None = None) -> None:
    """Check that tasks exist, and that the data sets of the bundled tasks do.

    Args:
        names: Names or paths of tasks, as in `tasks=`.
        data: Folder of the data sets; None for `KDBENCH_DATA`, else the Hub, which is not asked.

    Raises:
        InputError: A task, the folder or a data set does not exist.
    """
    if data is not None and not data.is_dir():
        raise InputError(f"data={data}: no such folder")
    folder, known = data_folder(data), known_tasks()
    for name in names:
        if name not in known and not Path(name).exists():
            task_definition(name)  # raises with the nearest name
        elif folder is not None and name in known:
            _check_data(known[name], folder)


def _check_data(file: Path, folder: Path) -> None:
    """Check that the data set of a bundled task, which has the task's name, is in the folder."""
    if not file.resolve().is_relative_to(bundled("tasks").resolve()):
        return
    try:
        load_module("tasks/instruction.py").local_file(file.stem, str(folder))
    except ValueError as error:
        raise InputError(str(error)) from None
