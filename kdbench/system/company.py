"""How much of the machine other processes use while one is timed."""

import os
import time
from pathlib import Path

_STAT = Path("/proc/stat")  # Linux
_BUSY = (0, 1, 2, 5, 6, 7)  # user, nice, system, irq, softirq, steal; not idle, iowait


class Company:
    """Watches from its creation on how much processor time others take.

    In a container the machine is the whole host: others on cores that this process may not use are
    counted too, though they hardly disturb it.
    """

    def __init__(self) -> None:
        self._start = self._now()

    def share(self) -> float | None:
        """The share of the machine's processor time that went to others; None if not known."""
        before, now = self._start, self._now()
        if before is None or now is None:
            return None
        elapsed, busy, own = (late - early for early, late in zip(before, now, strict=True))
        if elapsed <= 0:
            return None
        available = elapsed * (os.cpu_count() or 1)
        return min(1.0, max(0.0, (busy - own) / available))

    @staticmethod
    def _now() -> tuple[float, float, float] | None:
        busy = _busy_seconds()
        return None if busy is None else (time.monotonic(), busy, time.process_time())


def load_average() -> float | None:
    """Mean number of processes that wanted to run in the last minute; None if not known."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):  # Windows has none
        return None


def _busy_seconds() -> float | None:
    """Seconds that all processors have worked since the machine started."""
    try:
        first = _STAT.read_text("ascii").partition("\n")[0].split()
        return sum(int(first[1 + place]) for place in _BUSY) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return None
