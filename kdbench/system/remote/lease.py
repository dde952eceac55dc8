"""Leases: on an object store, what a lock is on a disk.

A lease is an object with its owner and the time until which it holds. The owner renews it while it
works. A killed owner resumes at once; another machine waits until the lease has run out.
"""

import json
import os
import socket
import threading
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from kdbench.errors import InputError
from kdbench.system.remote.mirror import OWN, Mirror

SECONDS = 120.0
"""How long a lease holds after it was last renewed."""
_SECONDS_BETWEEN_TRIES = 3.0


class Leases:
    """The leases that this process holds on folders of a mirror.

    Args:
        mirror: The mirror.
        seconds: How long a lease holds after it was last renewed.
    """

    def __init__(self, mirror: Mirror, seconds: float = SECONDS):
        self._mirror, self._seconds = mirror, seconds
        self._held: set[str] = set()
        self._lost: set[str] = set()
        self._lock = threading.RLock()
        self._is_over = threading.Event()
        self._renewing: threading.Thread | None = None

    def acquire(self, folder: str, wait: bool = False) -> bool:
        """Hold the lease of a folder, unless this process holds it already.

        Args:
            folder: The folder, by its path below the URL.
            wait: Whether to wait for another machine that holds it.

        Returns:
            Whether it is new.

        Raises:
            InputError: Another machine holds it, and `wait` is false.
        """
        with self._lock:
            if folder in self._held:
                return False
        while not self._take(folder):
            self._is_over.wait(_SECONDS_BETWEEN_TRIES if wait else 0)
            holder = self._read(folder)
            if not wait and self._holds(holder):
                raise InputError(self._busy(folder, holder))
        with self._lock:
            self._held.add(folder)
            if self._renewing is None:
                self._renewing = threading.Thread(target=self._renew_all, daemon=True)
                self._renewing.start()
        return True

    def check(self) -> None:
        """Check that no lease was lost.

        Raises:
            InputError: Another machine has taken over, because this one did not renew it in time.
        """
        for folder in self._lost:
            raise InputError(
                f"{self._mirror.storage.shown}/{folder}: another machine has taken over, because "
                "this one did not answer for too long; its work is not published"
            )

    def release(self) -> None:
        """Give all leases back."""
        self._is_over.set()
        if self._renewing is not None:
            self._renewing.join()
        with self._lock:
            for folder in self._held - self._lost:
                if self._is_ours(self._read(folder)):
                    self._mirror.storage.delete(_place(folder))
            self._held.clear()

    def renew(self) -> None:
        """Renew all leases, and find out which are lost."""
        with self._lock:
            held = self._held - self._lost
        for folder in held:
            holder = self._read(folder)
            if holder and not self._is_ours(holder):
                self._lost.add(folder)
            else:
                self._mirror.storage.write(_place(folder), self._content())

    def _renew_all(self) -> None:
        while not self._is_over.wait(self._seconds / 4):
            try:
                self.renew()
            except InputError:  # a store that does not answer; the lease may hold until it does
                continue

    def _take(self, folder: str) -> bool:
        """Try to take a lease that is free, ours or over."""
        holder, storage = self._read(folder), self._mirror.storage
        if self._holds(holder):
            return False
        if not holder:
            if not storage.create(_place(folder), self._content()):
                return False
        else:
            storage.write(_place(folder), self._content())
        return self._is_ours(self._read(folder))

    def _read(self, folder: str) -> Mapping[str, Any]:
        """The content of a lease; empty if there is none or it is damaged."""
        text = self._mirror.storage.read(_place(folder))
        if text is None:
            return {}
        try:
            content = json.loads(text)
        except ValueError:
            return {"owner": ""}
        return content if isinstance(content, dict) and content else {"owner": ""}

    def _holds(self, holder: Mapping[str, Any]) -> bool:
        """Whether a lease is another machine's and not over."""
        until = holder.get("until")
        is_over = not isinstance(until, int | float) or until < time.time()
        return bool(holder) and not self._is_ours(holder) and not is_over

    def _is_ours(self, holder: Mapping[str, Any]) -> bool:
        return holder.get("owner") == self._mirror.owner

    def _content(self) -> bytes:
        content = {
            "owner": self._mirror.owner,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "until": time.time() + self._seconds,
        }
        return json.dumps(content).encode()

    def _busy(self, folder: str, holder: Mapping[str, Any]) -> str:
        until = datetime.fromtimestamp(holder["until"]).strftime("%H:%M:%S")
        place = f"{self._mirror.storage.shown}/{folder}"
        return (
            f"{place}: another kdbench process is writing it, on {holder.get('host')} (its lease "
            f"holds until {until}); wait for it, or until its lease has run out"
        )


def _place(folder: str) -> str:
    return f"{OWN}/leases/{folder or 'all'}.json"
