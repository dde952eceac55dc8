"""Processes that must not outlive the one that started them, not even after a kill -9."""

import os
import socket
import threading
import time
from dataclasses import dataclass

_SECONDS_BETWEEN_CHECKS = 1.0


def is_alive(pid: int) -> bool:
    """Whether a process of this machine is running."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it runs, under another user
        return True
    return True


@dataclass(frozen=True)
class Starter:
    """The process that started another one.

    Attributes:
        host: where it runs.
        pid: its process id there.
    """

    host: str
    pid: int

    def lives(self) -> bool:
        """Whether it is still running; a process of another host counts as running."""
        return self.host != socket.gethostname() or is_alive(self.pid)


def this_process() -> Starter:
    """The calling process."""
    return Starter(socket.gethostname(), os.getpid())


def end_with(starter: Starter) -> None:
    """End the calling process soon after its starter ends; does nothing in the starter itself."""
    if starter != this_process():
        threading.Thread(target=_watch, args=(starter,), daemon=True).start()


def _watch(starter: Starter) -> None:
    parent = os.getppid()
    while starter.lives():
        if parent == starter.pid != os.getppid():  # it ended, and nobody has reaped it yet
            break
        time.sleep(_SECONDS_BETWEEN_CHECKS)
    os._exit(1)  # other threads may be busy in native code; nothing short of this ends them
