"""Ending child processes with the process that started them, even after a kill -9."""

import os
import socket
import threading
import time
from dataclasses import dataclass

_SECONDS_BETWEEN_CHECKS = 1.0


def is_alive(pid: int) -> bool:
    """Whether a process is running on this machine."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it runs as a different user
        return True
    return True


@dataclass(frozen=True)
class Starter:
    """A process that started another one.

    Attributes:
        host: Name of its machine.
        pid: Its process id there.
    """

    host: str
    pid: int

    def lives(self) -> bool:
        """Whether it is still running; a process on a different machine counts as running."""
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
        if parent == starter.pid != os.getppid():  # it ended, but has not been reaped
            break
        time.sleep(_SECONDS_BETWEEN_CHECKS)
    os._exit(1)  # nothing less ends threads that are busy in native code
