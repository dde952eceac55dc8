"""One process at a time does a node, also where the disk's own locks say little.

On one machine a file lock decides, which the system releases when its holder ends. Between machines
a disk may keep such a lock, ignore it, or know none. So the holder also leaves a lease: a file in
which it counts upwards. While the count moves, a process of another machine waits; when it has
stood still for a while by the waiting process's own clock, that process takes the lease over. A
holder that finds another name in its lease, say after its machine was frozen, ends at once: what it
would write now, its successor writes too.
"""

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from kdbench.system.console import report_progress

SECONDS_BETWEEN_BEATS = 10.0
SECONDS_TO_EXPIRE = 90.0
_BOOT = Path("/proc/sys/kernel/random/boot_id")  # Linux: the same in all containers of a machine


def this_machine() -> str:
    """A name of the machine that no other one has; host names can repeat."""
    try:
        return _BOOT.read_text("ascii").strip()
    except OSError:
        return socket.gethostname()


@contextmanager
def held(log: Path, machine: str | None = None) -> Iterator[None]:
    """Hold a node while the block runs; wait until no other process does.

    Args:
        log: The node's log, next to which the lock and the lease are.
        machine: Name of this machine, for tests.
    """
    lock = _locked(log.with_suffix(".lock"))
    try:
        here = machine or this_machine()
        lease = _Lease(log.with_suffix(".lease"), here, is_locked=lock is not None)
        lease.take()
        try:
            with lease.kept_up():
                yield
        finally:
            lease.release()
    finally:
        if lock is not None:
            lock.release()


def is_held(log: Path) -> bool:
    """Whether another process seems to do a node, so that other nodes should go before it.

    Only when a node starts depends on it, so the clocks of two machines may differ.

    Args:
        log: The node's log.
    """
    file, here = log.with_suffix(".lease"), this_machine()
    holder = _Lease(file, here, is_locked=True).read()
    if holder is None:
        return False
    try:
        moves = time.time() - file.stat().st_mtime < SECONDS_TO_EXPIRE
    except FileNotFoundError:  # given back since
        return False
    if holder.get("machine") != here:
        return moves
    try:
        with FileLock(log.with_suffix(".lock")).acquire(timeout=0):
            return False  # its holder was killed
    except Timeout:
        return True
    except NotImplementedError:
        return moves


def _locked(file: Path) -> BaseFileLock | None:
    """The lock, held; None on a disk without locks, as some parallel file systems are."""
    lock = FileLock(file)
    try:
        lock.acquire()
    except NotImplementedError:
        return None
    return lock


@dataclass
class _Lease:
    """A file that names its holder and counts.

    Attributes:
        file: The file.
        machine: Name of this machine.
        is_locked: Whether the file lock is held, which this machine's processes obey.
    """

    file: Path
    machine: str
    is_locked: bool

    def __post_init__(self) -> None:
        self._holder = uuid.uuid4().hex
        self._count = 0

    def take(self) -> None:
        """Wait until the lease is free, of this machine, or expired, and take it."""
        if self._create():
            return
        seen, since = self.read(), time.monotonic()
        if self.is_locked and seen is not None and seen.get("machine") == self.machine:
            self._write()  # the lock shows that the holder has ended
            return
        report_progress(f"waiting for another machine, which holds {self.file}")
        while not self._create():
            time.sleep(_pause())
            now = self.read()
            if now != seen:
                seen, since = now, time.monotonic()
            elif time.monotonic() - since >= SECONDS_TO_EXPIRE:
                self._write()
                time.sleep(_pause())
                if self._is_held():  # of several that took it at once, the last one has it
                    return
                seen, since = self.read(), time.monotonic()

    def _create(self) -> bool:
        """Take the lease if there is none."""
        try:
            with self.file.open("x", encoding="utf-8") as file:  # atomic, on NFS too
                file.write(self._content())
        except FileExistsError:
            return False
        return True

    @contextmanager
    def kept_up(self) -> Iterator[None]:
        """Count upwards while the block runs."""
        ended = threading.Event()
        thread = threading.Thread(target=self._beat, args=(ended,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _beat(self, ended: threading.Event) -> None:
        last = time.monotonic()
        while not ended.wait(SECONDS_BETWEEN_BEATS):
            late = time.monotonic() - last >= SECONDS_TO_EXPIRE
            try:
                if not self._is_held():
                    self._end("another process has taken the node over")
                self._write()
            except OSError as error:
                if late:
                    self._end(f"its disk has not answered for {SECONDS_TO_EXPIRE:.0f} s: {error}")
                continue
            last = time.monotonic()

    def _end(self, why: str) -> None:
        """End this process: an exception in a thread would not stop the work."""
        report_progress(f"ending: {why} ({self.file})")
        os._exit(1)

    def _is_held(self) -> bool:
        seen = self.read()
        return seen is not None and seen.get("holder") == self._holder

    def read(self) -> dict[str, object] | None:
        """What the file says; None if there is none."""
        try:
            content = json.loads(self.file.read_bytes())
        except FileNotFoundError:
            return None
        except ValueError:  # half-written by another kind of disk; it counts as one that stands
            return {}
        return content if isinstance(content, dict) else {}

    def _write(self) -> None:
        new = self.file.with_name(f"{self.file.name}.{self._holder}")
        new.write_text(self._content(), "utf-8")
        new.replace(self.file)

    def _content(self) -> str:
        self._count += 1
        named = {"holder": self._holder, "machine": self.machine, "count": self._count}
        return json.dumps(named)

    def release(self) -> None:
        """Give the lease back if it is still this one's."""
        if self._is_held():
            self.file.unlink(missing_ok=True)


def _pause() -> float:
    return min(1.0, SECONDS_BETWEEN_BEATS)
