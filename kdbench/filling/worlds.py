"""Worlds: the data and models that a table's file needs, made before anything else if they lack.

A world is registered under the name that `world: {kind: NAME}` gives. Other tables load none.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from kdbench.errors import InputError
from kdbench.filling.spec import TableSpec
from kdbench.registry import Registry
from kdbench.system.console import report_progress
from kdbench.text import counted


class TableWorld(ABC):
    """The world of a table, which consists of folders.

    Attributes:
        folder: Folder of the world.

    Args:
        folder: The same.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    @abstractmethod
    def parts(self) -> list[str]:
        """Its parts, as places relative to the folder, in the order in which they are made."""

    @abstractmethod
    def make(self) -> None:
        """Make the parts that do not exist, with the same bytes each time.

        A call that is killed leaves no half-written part.
        """

    def missing(self) -> list[str]:
        """The parts that do not exist."""
        return [part for part in self.parts() if not (self.folder / part).exists()]


# The toy package is above this one, so that it is named, and imported when a table asks.
worlds: Registry[type[TableWorld]] = Registry("world", "kdbench.toy.worlds", "kdbench.worlds")


def world_of(spec: TableSpec) -> TableWorld | None:
    """The world that a table needs; None if its file names none.

    Raises:
        InputError: The kind of the world is unknown, or its folder is a file.
    """
    if spec.world is None:
        return None
    kind, folder = worlds.get(spec.world.kind), spec.world.folder
    if folder.exists() and not folder.is_dir():
        raise InputError(f"world: folder: {folder}: is a file; name a folder")
    return kind(folder)


def make_missing(world: TableWorld) -> None:
    """Make what a world lacks; of several processes one works, and the others wait."""
    world.folder.mkdir(parents=True, exist_ok=True)
    with FileLock(world.folder / ".lock"):
        missing = world.missing()
        if not missing:
            return
        report_progress(f"making the table's world in {world.folder}: {', '.join(missing)}")
        world.make()


def world_lines(world: TableWorld) -> Iterator[str]:
    """The lines of a dry run: which parts of a world exist."""
    parts, missing = world.parts(), world.missing()
    made = len(parts) - len(missing)
    yield f"world in {world.folder}: {made} of {counted(len(parts), 'part')} done"
    for part in parts:
        yield f"  {'missing' if part in missing else 'done':<10}{part}"
