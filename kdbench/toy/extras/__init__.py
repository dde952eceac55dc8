"""What the gallery needs beside the toy world: further training sets and models, a file for each.

Each module of this package has a list `EXTRAS`. `kdbench fill toy-all` makes them all, once.
"""

import importlib
import os
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kdbench.toy.models import World, WorldReport, unfinished_folder


@dataclass(frozen=True)
class Extra:
    """A folder that is made from the toy world, with the same bytes each time.

    Attributes:
        place: Where it is, relative to the folder of the world: `data/noisy` for a training set
            (`train_set=noisy`), `second-teacher` for a checkpoint.
        make: Fills an empty folder, which is put in its place once complete; the world is finished,
            and so are the extras of `after`.
        after: Places of the extras that it is made from.
    """

    place: str
    make: Callable[[World, Path, WorldReport | None], None]
    after: tuple[str, ...] = ()


def extras() -> list[Extra]:
    """All extras, each after those that it is made from."""
    found = [
        extra
        for module in sorted(module.name for module in pkgutil.iter_modules(__path__))
        for extra in importlib.import_module(f"{__name__}.{module}").EXTRAS
    ]
    ordered: list[Extra] = []
    while found:
        made = {extra.place for extra in ordered}
        ready = [extra for extra in found if made.issuperset(extra.after)]
        if not ready:
            raise LookupError(f"extras wait for each other: {[extra.place for extra in found]}")
        ordered += ready
        found = [extra for extra in found if extra not in ready]
    return ordered


def make_extras(world: World, report: WorldReport | None = None) -> None:
    """Make what does not exist yet. A call that is killed leaves no half-written part."""
    for extra in extras():
        folder = world.teacher.parent / extra.place
        if not folder.exists():
            unfinished = unfinished_folder(folder)
            extra.make(world, unfinished, report)
            os.replace(unfinished, folder)
