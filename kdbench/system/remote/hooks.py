"""What the rest of kdbench calls. Without a URL among its keys, all of it does nothing.

Mirrors are opened when settings are built, and stay open to the end of the process.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kdbench.errors import InputError
from kdbench.system.console import report_progress
from kdbench.system.remote.lease import Leases
from kdbench.system.remote.mirror import Mirror
from kdbench.system.remote.publish import merge_lines, publish
from kdbench.system.shown_places import show_as

SECONDS_BETWEEN_UPLOADS = 20.0

_mirrors: dict[Path, Mirror] = {}
_fetched: set[Path] = set()


@dataclass(frozen=True)
class MirrorKeys:
    """What another process needs to open the same mirror.

    Attributes:
        key: Setting that has the URL.
        url: The URL.
        options: Options of its file system, which can be secret.
        folder: The folder on each machine.
        writes: Whether it publishes.
    """

    key: str
    url: str
    options: Mapping[str, Any] = field(repr=False)
    folder: Path
    writes: bool


def open_mirror(
    key: str, url: str, options: Mapping[str, Any], work: Path | None, writes: bool
) -> Path:
    """Open the mirror of a URL, and return its folder.

    Args:
        key: Setting that has the URL.
        url: The URL.
        options: Options of its file system.
        work: Folder of mirrors; None for the user's cache.
        writes: Whether the command publishes what it has changed.

    Raises:
        InputError: The URL cannot be read, or written if the command writes.
    """
    mirror = Mirror.of(key, url, options, work, writes)
    known = _mirrors.get(mirror.folder)
    if known is None or (known.options, known.writes) != (mirror.options, writes):
        mirror.open()
        _add(mirror)
    return mirror.folder


def open_mirrors() -> tuple[MirrorKeys, ...]:
    """The mirrors that are open, for `join_mirrors` of another process."""
    return tuple(MirrorKeys(m.key, m.url, m.options, m.folder, m.writes) for m in _mirrors.values())


def join_mirrors(mirrors: Sequence[MirrorKeys]) -> None:
    """Open the mirrors of the process that started this one."""
    for keys in mirrors:
        if keys.folder not in _mirrors:
            mirror = Mirror(keys.key, keys.url, keys.options, keys.folder, keys.writes)
            mirror.folder.mkdir(parents=True, exist_ok=True)
            _add(mirror)


def _add(mirror: Mirror) -> None:
    _mirrors[mirror.folder] = mirror
    show_as(str(mirror.folder), mirror.storage.shown)


def close_mirrors() -> None:
    """Forget all mirrors; their folders stay."""
    for mirror in _mirrors.values():
        mirror.index.close()
    _mirrors.clear()
    _fetched.clear()


def is_mirrored(place: Path) -> bool:
    """Whether a place belongs to a mirror."""
    return bool(_mirrors) and _at(place) is not None


def fetch(place: Path, wanted: Callable[[str], bool] = lambda _: True) -> None:
    """Fetch a folder, or a file with all that starts with its name, if it belongs to a mirror.

    Args:
        place: The folder.
        wanted: Whether an object is needed, by its path below the URL.

    Raises:
        InputError: It cannot be read.
    """
    if not _mirrors or (at := _at(place)) is None:
        return
    mirror, path = at
    dirty = mirror.fetch(path, wanted)
    if dirty and mirror.writes and path:
        if _session is not None:
            _session.leases_of(mirror).acquire(path)
        mirror.dirty.add(path)


def fetch_results(results: Path) -> None:
    """Fetch what tables read of results: all but the samples."""
    fetch(results, lambda path: "/samples/" not in f"/{path}")


def fetch_samples(run: Path) -> None:
    """Fetch all of a run that a command reads, once."""
    if not _mirrors or run in _fetched or (at := _at(run)) is None or at[0].writes:
        return
    _fetched.add(run)
    fetch(run)


def fetch_checkpoint(place: Path, last: str) -> None:
    """Fetch a checkpoint, which is there when all of it is.

    Args:
        place: Its folder.
        last: Name of the file that is published last.
    """
    if not _mirrors or (at := _at(place)) is None or (place / last).exists():
        return
    mirror, path = at
    if not mirror.has(f"{path}/{last}"):
        return
    # The card is the last in the order of fetching too.
    fetch(place, lambda object_path: object_path != f"{path}/{last}")
    fetch(place)


def has(place: Path) -> bool | None:
    """Whether a file is published, or a place here; None if it belongs to no mirror."""
    if not _mirrors or (at := _at(place)) is None:
        return None
    mirror, path = at
    return mirror.has(path)


def is_published(place: Path) -> bool:
    """Whether a file is as it was published; True if it belongs to no mirror."""
    if not _mirrors or (at := _at(place)) is None:
        return True
    mirror, path = at
    return mirror.is_published(path)


def watch(*places: Path) -> None:
    """Publish files and folders too, if they belong to a mirror, together with what is claimed."""
    for place in places:
        if _mirrors and (at := _at(place)) is not None and at[0].writes:
            at[0].dirty.add(at[1])


@contextmanager
def listed_once() -> Iterator[None]:
    """Answer `has` and `is_published` from one listing of each mirror while the block runs."""
    for mirror in _mirrors.values():
        mirror.listed = mirror.storage.listing()
    try:
        yield
    finally:
        for mirror in _mirrors.values():
            mirror.listed = None


def claim(place: Path, wait: bool = False) -> None:
    """Hold the lease of a folder that is about to change, and fetch it as it is now.

    Inside of `publishing`, which publishes the folder. A folder of no mirror needs no lease.

    Raises:
        InputError: Another machine holds it, and `wait` is false.
    """
    if not _mirrors or (at := _at(place)) is None or _session is None:
        return
    mirror, path = at
    if not mirror.writes:
        return
    if _session.leases_of(mirror).acquire(path, wait):
        mirror.dirty.add(path)
        mirror.fetch(path)


@contextmanager
def publishing(lines: Sequence[Path] = ()) -> Iterator[None]:
    """Publish what is claimed while the block runs, every so often and at its end.

    Args:
        lines: Files of lines to which other machines add too.

    Raises:
        InputError: A store cannot be written.
    """
    global _session  # noqa: PLW0603 - one for the process, as the mirrors are
    if _session is not None or not any(mirror.writes for mirror in _mirrors.values()):
        yield
        return
    _session = _Session()
    try:
        _session.start()
        try:
            yield
        except BaseException:
            with suppress(InputError):  # the first error is the one to report
                _session.finish(lines)
            raise
        _session.finish(lines)
    finally:
        _session = None


class _Session:
    """The leases of this process, and the thread that publishes every so often."""

    def __init__(self) -> None:
        self._leases: dict[Path, Leases] = {}
        self._is_over = threading.Event()
        self._publishing = threading.RLock()
        self._thread = threading.Thread(target=self._publish_often, daemon=True)

    def leases_of(self, mirror: Mirror) -> Leases:
        return self._leases.setdefault(mirror.folder, Leases(mirror))

    def start(self) -> None:
        self._thread.start()

    def finish(self, lines: Sequence[Path]) -> None:
        self._is_over.set()
        self._thread.join()
        try:
            self._publish()
            for place in lines:
                if (at := _at(place)) is not None and at[0].writes:
                    merge_lines(*at)
        finally:
            for leases in self._leases.values():
                with suppress(InputError):  # a lease that cannot be given back runs out
                    leases.release()

    def _publish(self) -> None:
        with self._publishing:
            for mirror in list(_mirrors.values()):
                if mirror.writes and mirror.dirty:
                    self.leases_of(mirror).check()
                    publish(mirror, sorted(mirror.dirty))

    def _publish_often(self) -> None:
        while not self._is_over.wait(SECONDS_BETWEEN_UPLOADS):
            try:
                self._publish()
            except InputError as error:
                report_progress(f"note: {error}")


_session: _Session | None = None


def _at(place: Path) -> tuple[Mirror, str] | None:
    """The mirror of a place, and its path there."""
    for mirror in _mirrors.values():
        if (path := mirror.path_of(place)) is not None:
            return mirror, path
    return None
