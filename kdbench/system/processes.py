"""The engine's processes end with the one that started them, even after a kill -9.

vLLM's own would go on with what is queued, and hold the memory that the next call needs.
"""

import os
import socket
import threading
import time
from dataclasses import dataclass

_EVERY = 1.0  # seconds


@dataclass(frozen=True)
class Starter:
    """The process that started an engine.

    Attributes:
        host: where it runs.
        pid: its number there.
    """

    host: str
    pid: int

    def lives(self) -> bool:
        """Whether it still runs; on another host nobody can tell, and it counts as running."""
        if self.host != socket.gethostname():
            return True
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        return True


def this_process() -> Starter:
    """The one that calls."""
    return Starter(socket.gethostname(), os.getpid())


def end_with(starter: Starter) -> None:
    """End this process, a worker of the engine, soon after its starter."""
    if starter != this_process():
        threading.Thread(target=_watch, args=(starter,), daemon=True).start()


def _watch(starter: Starter) -> None:
    while starter.lives():
        time.sleep(_EVERY)
    os._exit(1)  # the engine ends when a worker does
