"""A temporary folder that goes with its process, if need be when the next one comes."""

import os
import shutil
import tempfile
from pathlib import Path

_STARTING, _NAME = "kdbench-starting-", "kdbench-rollouts-"
_LOCK = "lock"


class HeldFolder:
    """A new temporary folder; those that killed processes left in the same place are removed.

    Args:
        place: Where it is made; None is the system's temporary folder.

    Attributes:
        path: The folder.
    """

    def __init__(self, place: Path | None = None):
        from filelock import FileLock

        _remove_leftovers(place or Path(tempfile.gettempdir()))
        new = Path(tempfile.mkdtemp(prefix=_STARTING, dir=place))
        self.path = new.with_name(new.name.replace(_STARTING, _NAME))
        self._lock = FileLock(new / _LOCK, timeout=0)
        self._lock.acquire()
        new.rename(self.path)  # by now nobody takes it for a leftover

    def close(self) -> None:
        """Remove it; may be called twice."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.release()


def _remove_leftovers(place: Path) -> None:
    from filelock import FileLock, Timeout

    for file in place.glob(f"{_NAME}*/{_LOCK}"):
        lock, folder = FileLock(file, timeout=0), file.parent
        if file.is_symlink() or not _is_ours(folder):  # opening the lock would empty its target
            continue
        try:
            lock.acquire()
        except (Timeout, OSError):  # it is used
            continue
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()


def _is_ours(folder: Path) -> bool:
    """Whether a folder is this user's own and no link; others can put theirs in the same place."""
    try:
        owner = folder.lstat().st_uid
    except OSError:  # it has just been removed
        return False
    return not folder.is_symlink() and owner == getattr(os, "getuid", lambda: owner)()
