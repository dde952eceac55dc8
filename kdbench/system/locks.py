"""Locks between processes, on files."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kdbench.errors import InputError


@contextmanager
def only_here(lock: Path, busy: str, wait: bool = False) -> Iterator[list[Path]]:
    """Keep other processes out while the block runs.

    Args:
        lock: File of the lock; missing folders are created.
        busy: Text of the error if another process holds the lock.
        wait: Whether to wait for the other process instead.

    Yields:
        The folders that were created for the lock, innermost first.

    Raises:
        InputError: Another process holds the lock, and `wait` is false.
    """
    from filelock import FileLock, Timeout

    made = [folder for folder in lock.parents if not folder.exists()]
    lock.parent.mkdir(parents=True, exist_ok=True)
    holder = FileLock(lock, timeout=-1 if wait else 0)
    try:
        holder.acquire()
    except Timeout:
        raise InputError(busy) from None
    try:
        yield made
    finally:
        holder.release()


def is_held(locks: Iterable[Path]) -> bool:
    """Whether a process on this machine holds one of the locks; False where that is not known.

    The locks are not touched: trying one could get in the way of a process that is starting.
    """
    try:
        text = Path("/proc/locks").read_text("ascii")  # Linux
    except (OSError, ValueError):
        return False
    held = set(re.findall(r" FLOCK +\w+ +\w+ +-?\d+ +\w+:\w+:(\d+) ", text))
    return any(str(lock.stat().st_ino) in held for lock in locks if lock.exists())


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove empty folders, innermost first, and stop at the first that is not empty."""
    for folder in folders:
        if any(folder.iterdir()):
            return
        folder.rmdir()
