"""A mirror: the folder on this machine in which commands work instead of at a URL."""

import os
import socket
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from kdbench.errors import InputError
from kdbench.system.files import put_text, sha256_of_file
from kdbench.system.remote.address import mirror_folder
from kdbench.system.remote.index import Known, MirrorIndex
from kdbench.system.remote.storage import Storage, StoredObject

OWN = ".kdbench-remote"
"""Folder of a mirror's own files."""
_AT_ONCE = 16
_LATE = "run.json"


@dataclass
class Mirror:
    """The mirror of a URL.

    Attributes:
        key: Setting that has the URL.
        url: The URL.
        options: Options of its file system.
        folder: The folder on this machine.
        writes: Whether the command publishes what it has changed.
        dirty: Folders with changes that are not published, relative to the mirror.
        listed: A listing that answers for the store for a while.
    """

    key: str
    url: str
    options: Mapping[str, Any] = field(repr=False)
    folder: Path
    writes: bool = False
    dirty: set[str] = field(default_factory=set)
    listed: dict[str, StoredObject] | None = None

    @classmethod
    def of(
        cls, key: str, url: str, options: Mapping[str, Any], work: Path | None, writes: bool
    ) -> "Mirror":
        """The mirror of a URL, in the user's cache or in a folder that the user names."""
        return cls(key, url, dict(options), mirror_folder(url, work), writes)

    @cached_property
    def storage(self) -> Storage:
        """The objects."""
        return Storage(self.url, self.options, self.key)

    @cached_property
    def index(self) -> MirrorIndex:
        """What is known of the files."""
        return MirrorIndex(self.folder / OWN / "index.sqlite")

    @cached_property
    def owner(self) -> str:
        """A name of this mirror, which no other machine's has."""
        file = self.folder / OWN / "owner"
        if not file.exists():
            put_text(file, f"{socket.gethostname()}-{uuid.uuid4().hex}")
        return file.read_text("utf-8")

    def path_of(self, place: Path) -> str | None:
        """The path of a file or folder below the URL; None if it is not in the mirror."""
        try:
            path = place.absolute().relative_to(self.folder).as_posix()
        except ValueError:
            return None
        return "" if path == "." else path

    def open(self) -> None:
        """Check that the URL can be read and, if the command writes, written.

        Raises:
            InputError: It cannot.
        """
        if self.writes and self.storage.is_read_only:
            raise InputError(
                f"{self.key}={self.storage.shown}: {self.storage.protocol}:// is read only, and "
                "this command writes there"
            )
        self.storage.check_address()
        self.storage.open()
        if self.writes:
            probe = f"{OWN}/probe-{self.owner}"
            self.storage.write(probe, b"")
            self.storage.delete(probe)
        self.folder.mkdir(parents=True, exist_ok=True)

    def has(self, path: str) -> bool:
        """Whether there is an object."""
        return self._entry(path) is not None

    def is_published(self, path: str) -> bool:
        """Whether a file of the mirror is the same as its object."""
        known, file = self.index.get(path), self.folder / path
        if known is None or not file.exists() or changed(file, known):
            return False
        entry = self._entry(path)
        return entry is not None and (entry.mark is None or entry.mark == known.mark)

    def _entry(self, path: str) -> StoredObject | None:
        return self.storage.entry(path) if self.listed is None else self.listed.get(path)

    def fetch(self, folder: str = "", wanted: Callable[[str], bool] = lambda _: True) -> list[str]:
        """Make a folder of the mirror equal to the store, but for changes that are not published.

        Args:
            folder: The folder, by its path below the URL.
            wanted: Whether an object is needed, by its path.

        Returns:
            The files with unpublished changes.

        Raises:
            InputError: An object cannot be read.
        """
        found = self.storage.listing(folder)
        objects = {path: entry for path, entry in found.items() if _is_content(path)}
        whole = {path: entry for path, entry in objects.items() if _is_of_a_run(path, objects)}
        known = self.index.below(folder)
        dirty = [path for path in known if self._is_gone(path, known[path], found, wanted)]
        asked = sorted(filter(wanted, whole), key=lambda path: path.endswith(_LATE))
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            states = threads.map(lambda path: self._fetch_file(path, whole[path]), asked)
            dirty += [path for path, is_dirty in zip(asked, states, strict=True) if is_dirty]
        above = self.folder / folder
        new = [path for path in files_below(self.folder, above) if path not in known]
        return [*dirty, *(path for path in new if path not in whole)]

    def _is_gone(
        self,
        path: str,
        known: Known,
        found: Mapping[str, StoredObject],
        wanted: Callable[[str], bool],
    ) -> bool:
        """Delete what the store has no longer; return whether the file has unpublished changes."""
        file = self.folder / path
        if path in found or not file.exists() or not wanted(path):
            return False
        if changed(file, known) or not known.sha256:
            return True
        file.unlink()
        self.index.remove(path)
        return False

    def _fetch_file(self, path: str, entry: StoredObject) -> bool:
        """Fetch an object unless it is here; return whether the file has unpublished changes."""
        file, known = self.folder / path, self.index.get(path)
        here = file.exists()
        if not here and known is not None and is_temporary(path):
            return True  # it was removed here, which is to be published
        same = known is not None and entry.mark is not None and entry.mark == known.mark
        if here and known is not None and same:
            return changed(file, known)
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_name(f".{file.name}.{os.getpid()}.fetched")
        try:
            self.storage.download(path, temporary)
            sha256 = sha256_of_file(temporary)
            if here and known is not None and known.sent == sha256:
                # This machine sent it, and was killed before it knew that it had arrived.
                size, mtime_ns = (0, 0) if sha256_of_file(file) != sha256 else _stamp(file)
                self.index.put(path, Known(entry.mark, sha256, size, mtime_ns))
                return size == 0
            os.replace(temporary, file)
        except FileNotFoundError:  # it was deleted after it was listed
            return False
        finally:
            temporary.unlink(missing_ok=True)
        self.index.put(path, Known(entry.mark, sha256, *_stamp(file)))
        return False


def changed(file: Path, known: Known) -> bool:
    """Whether a file of the mirror may have changed since it was the same as its object."""
    return _stamp(file) != (known.size, known.mtime_ns)


def is_temporary(path: str) -> bool:
    """Whether a file is one that its writer removes: a shard's, a part, or a training's state."""
    return any(mark in path for mark in (".shard-", ".partial.", ".unfinished/"))


def files_below(root: Path, folder: Path) -> list[str]:
    """The files with content below a folder, by their path below the root."""
    found = []
    for above, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        start = Path(above).relative_to(root)
        found += [(start / name).as_posix() for name in names if not name.startswith(".")]
    return sorted(found)


def _stamp(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_size, status.st_mtime_ns


def _is_content(path: str) -> bool:
    """Whether a path is content: locks, leases and temporary files have names with a dot.

    An object's name may have empty parts, and a path on a disk that starts with one is elsewhere.
    """
    return all(part and not part.startswith(".") for part in path.split("/"))


def _is_of_a_run(path: str, objects: Mapping[str, StoredObject]) -> bool:
    """False for the samples of a run whose record was never published: they say nothing."""
    above, samples, _ = path.rpartition("/samples/")
    return not samples or f"{above}/{_LATE}" in objects
