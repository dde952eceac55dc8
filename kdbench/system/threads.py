"""Threads of native libraries: how many a process uses, and how they wait.

By default the OpenMP threads of torch spin while they wait for each other. On a busy machine a
thread that spins occupies the core that the other thread needs, and the same work takes several
times the processor time. Threads that sleep while they wait avoid this.
"""

import math
import os
from pathlib import Path

_WAITING = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
"""How OpenMP threads wait: for any runtime, and for those of Intel and LLVM."""

_TUNED_BY_THE_USER = {*_WAITING, "GOMP_SPINCOUNT", "KMP_LIBRARY"}
_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_OLD_QUOTA = (
    Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"),
    Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us"),
)


def wait_passively() -> None:
    """Let OpenMP threads sleep while they wait, and keep their number within a container's quota.

    OpenMP reads its variables when torch is imported, so this must come before. Variables that the
    user has set stay as they are. Processes that this one starts inherit all of them.
    """
    if not _TUNED_BY_THE_USER & os.environ.keys():
        os.environ.update(_WAITING)
    if cores() < _cores_of_affinity():  # OpenMP knows the affinity, but no quota
        os.environ.setdefault("OMP_NUM_THREADS", str(cores()))


def cores() -> int:
    """Number of cores that this process may use, by its affinity and its container's quota."""
    quota = _quota()
    available = _cores_of_affinity()
    return available if quota is None else max(1, min(available, math.ceil(quota)))


def wanted_threads() -> int:
    """Number of threads for the work of this process: its cores, or OMP_NUM_THREADS if fewer."""
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return min(cores(), int(first)) if first.isdecimal() and int(first) > 0 else cores()


def _cores_of_affinity() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _quota() -> float | None:
    """The container's share of processor time, in cores; None without a quota."""
    try:
        if _QUOTA.exists():
            quota, period = _QUOTA.read_text().split()
        else:
            quota, period = (file.read_text() for file in _OLD_QUOTA)
        share = int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):  # `max` means that there is no quota
        return None
    return share if share > 0 else None  # -1 means the same
