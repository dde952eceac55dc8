"""Where the papers' data files are in a folder: that of MiniLLM's code, of the Hub, or its cache.

FOLDER/uinst/11_/valid.jsonl                                LMOps' minillm/data, hf download
FOLDER/datasets--MiniLLM--uinst/snapshots/COMMIT/11_/…      the Hub's cache
FOLDER/uinst/valid.jsonl                                    copies that hold one class only
"""

from dataclasses import dataclass
from pathlib import Path

from kdbench.errors import InputError

_CLASS = "11_"  # of references of 11 tokens or more, the one that the papers score


@dataclass(frozen=True)
class PapersSet:
    """A data set of the papers.

    Attributes:
        task: Name of its task.
        folder: Its folder in MiniLLM's code.
        repository: Its name on the Hub.
        prefix: How the ids of its rows begin.
        topic: The field of kdbench's files for `topic` of MiniLLM's.
        by_class: Whether it has a folder for each class of lengths.
        first: Number of rows that the papers use, from the start; None for all.
    """

    task: str
    folder: str
    repository: str
    prefix: str
    topic: str = "category"
    by_class: bool = False
    first: int | None = None

    def place(self, source: Path) -> Path | None:
        """The set's folder in a folder; None if it is not there.

        Raises:
            InputError: The Hub's cache has several commits of it and no `main`, or other classes.
        """
        names = dict.fromkeys([self.folder, self.repository, self.repository.lower()])
        plain = [source / name for name in names if (source / name).is_dir()]
        cache = source / f"datasets--MiniLLM--{self.repository}"
        found = plain[0] if plain else _snapshot(cache) if cache.is_dir() else None
        if found is None or not self.by_class:
            return found
        if (found / _CLASS).is_dir():
            return found / _CLASS
        if (found / "valid.jsonl").is_file():
            return found
        classes = sorted(folder.name for folder in found.iterdir() if folder.is_dir())
        raise InputError(
            f"{found}: no folder '{_CLASS}', the class of lengths that the papers score; it has "
            f"{', '.join(classes) or 'none'}"
        )


SETS = (
    PapersSet("dolly", "dolly", "dolly", "dolly-test"),
    PapersSet("self_instruct", "self-inst", "self-inst", "self-instruct-test"),
    PapersSet("vicuna", "vicuna", "Vicuna", "vicuna-test"),
    PapersSet("super_natural", "sinst", "sinst", "super-natural-test", "task", by_class=True),
    PapersSet("unnatural", "uinst", "uinst", "unnatural-test", by_class=True, first=10_000),
)


def _snapshot(cache: Path) -> Path | None:
    """The files of a data set in the Hub's cache: those of `main`, or of the only commit.

    Raises:
        InputError: There are several commits and no `main`.
    """
    commits = sorted(folder for folder in (cache / "snapshots").glob("*") if folder.is_dir())
    main = cache / "refs" / "main"
    if main.is_file():
        named = cache / "snapshots" / main.read_text("utf-8").strip()
        if named.is_dir():
            return named
    if len(commits) > 1:
        names = ", ".join(folder.name for folder in commits)
        raise InputError(f"{cache}: several commits and no main; give the folder of one: {names}")
    return commits[0] if commits else None
