"""The claim on a folder of states: whose run it is, and that one process works in it at a time."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kdbench.distillation.identity import Identity, check_identity
from kdbench.distillation.ingredients import Ingredients
from kdbench.distillation.processes import process_number
from kdbench.errors import InputError
from kdbench.system.locks import only_here, remove_empty
from kdbench.system.records import read_record

IDENTITY = "identity.json"
_LOCK = ".lock"


def check_claim(folder: Path, ingredients: Ingredients) -> None:
    """Check that an existing state belongs to the same run.

    Raises:
        InputError: it was made from something else, or its identity is damaged.
    """
    states = ("checkpoint-*", "stage-*/checkpoint-*", "stage-*/stage.json")
    if not any(any(folder.glob(pattern)) for pattern in states):
        return
    try:
        stored = read_record(folder / IDENTITY, Identity)
    except InputError as error:
        raise InputError(f"{error}; delete {folder} to train again from the start") from None
    check_identity(stored, ingredients.identity, ingredients.defaults, folder)


def remove_leftover(folder: Path) -> None:
    """Remove what is left of a run that was killed after its checkpoint was in place."""
    if not folder.exists():
        return
    try:
        with only_here(folder / _LOCK, busy=""):
            shutil.rmtree(folder)
    except InputError:
        return  # the other process is removing it


@contextmanager
def locked(folder: Path, wait: bool = False) -> Iterator[None]:
    """Keep other processes out of a folder, except those of the same distributed run.

    A folder in which nothing was kept is removed again.

    Raises:
        InputError: another process holds the lock, and `wait` is false.
    """
    if process_number() and not wait:
        yield
        return
    busy = f"{folder}: another kdbench process is training here; wait until it has finished"
    with only_here(folder / _LOCK, busy, wait) as made:
        try:
            yield
        finally:
            if folder.exists() and not _kept(folder):
                shutil.rmtree(folder)
                remove_empty(made[1:])


def _kept(folder: Path) -> bool:
    """Whether anything worth keeping is in the folder of a run."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return any(file.name not in (_LOCK, IDENTITY) for file in files)
