"""Locks between processes, on files."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kdbench.errors import InputError


@contextmanager
def only_here(lock: Path, busy: str, wait: bool = False) -> Iterator[list[Path]]:
    """Keep other processes out while the block runs.

    Args:
        lock: the lock's file; missing folders are made.
        busy: the error's text if another process holds the lock.
        wait: wait for the other process instead.

    Yields:
        The folders that were made for the lock, innermost first.

    Raises:
        InputError: another process holds the lock, and `wait` is false.
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


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove folders, innermost first, up to the first one that holds something."""
    for folder in folders:
        if any(folder.iterdir()):
            return
        folder.rmdir()
