"""Where results are: run folders and files of speeds, at any depth below a folder of results.

    results/<model>/<run>/run.json
    results/<anything>/<model>/<run>/run.json
    results/<anything>/packed.jsonl.xz

A run's own folders, a teacher's cache, the runs of a frontier and hidden folders are not searched.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from kdbench.store.packs import PACK, pack_in

_RUN, _TEACHER_CACHE = "run.json", "teacher.json"
FRONTIER = "frontier.json"
"""File in the folder of the runs that `kdbench frontier` makes: one model at many temperatures."""


def run_folders_in(results: Path) -> list[Path]:
    """The folders that hold a run, or would if it were not packed, by path.

    There are none if the folder does not exist.

    Args:
        results: Folder of the results, or of one run.
    """
    found = set[Path]()
    for path, names in _searched(results):
        if _RUN in names:
            found.add(path)
        elif PACK in names and (pack := pack_in(path)) is not None:
            found |= {path / run for run in pack.runs}
    return sorted(found)


def speed_files_in(results: Path) -> list[Path]:
    """The files that `kdbench speed` has written, by path.

    Args:
        results: Folder of the results.
    """
    return sorted(
        path / name
        for path, names in _searched(results)
        for name in names
        if name.startswith("speed-")
        and name.endswith(".json")
        and _RUN not in names
        and path != results
    )


def _searched(folder: Path) -> Iterator[tuple[Path, set[str]]]:
    """Folders and the names of their files; the content of a run's folder is not searched."""
    waiting, seen = [folder], set[tuple[int, int]]()
    while waiting:
        path = waiting.pop()
        try:
            status = path.stat()
            with os.scandir(path) as listed:
                # Unlike DirEntry.is_dir, os.path.isdir says no of a link that leads to itself.
                entries = [(entry.name, os.path.isdir(entry.path)) for entry in listed]
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            continue
        if (status.st_dev, status.st_ino) in seen:  # a link to a folder above
            continue
        seen.add((status.st_dev, status.st_ino))
        names = {name for name, is_folder in entries if not is_folder}
        if _TEACHER_CACHE in names or (FRONTIER in names and path != folder):
            continue
        yield path, names
        if _RUN not in names:
            waiting += [
                path / name for name, is_dir in entries if is_dir and not name.startswith(".")
            ]
