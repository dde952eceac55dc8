"""The GPUs of this machine, and which of them each running node has.

They are found without CUDA, which would take memory of a GPU in the process that only plans. A GPU
has the name that CUDA_VISIBLE_DEVICES takes: a number in the order of the bus, or a UUID.
"""

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from math import ceil

VISIBLE = "CUDA_VISIBLE_DEVICES"
ORDER = "CUDA_DEVICE_ORDER"  # of the numbers; CUDA's own default is the fastest first
_GPU = re.compile(r"GPU (\d+): ")
_MIG = re.compile(r"\s+MIG .*\(UUID: (MIG-[^)]+)\)")
_ENOUGH = 1e-9  # shares such as thirds do not add up exactly


def visible_gpus(environment: Mapping[str, str] | None = None) -> list[str]:
    """The GPUs that this process may use: those of CUDA_VISIBLE_DEVICES, or all.

    A GPU that is divided (MIG) counts as its parts, since CUDA gives a process one part at most.

    Args:
        environment: Environment variables (default: those of this process).
    """
    given = (os.environ if environment is None else environment).get(VISIBLE)
    if given is not None:
        return _given(given)
    try:
        done = subprocess.run(
            ["nvidia-smi", "-L"],  # noqa: S607 - where it is differs between systems
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    except (OSError, subprocess.TimeoutExpired):  # no driver, hence no GPU
        return []
    return listed_gpus(done.stdout) if done.returncode == 0 else []


def _given(text: str) -> list[str]:
    """The GPUs of the variable; as in CUDA, the first that is none hides those after it."""
    gpus: list[str] = []
    for item in (part.strip() for part in text.split(",")):
        if not item or item.startswith("-") or item in gpus:
            break
        gpus.append(item)
    return gpus


def listed_gpus(listing: str) -> list[str]:
    """The GPUs in the output of `nvidia-smi -L`."""
    gpus: list[str] = []
    for line in listing.splitlines():
        if gpu := _GPU.match(line):
            gpus.append(gpu[1])
        elif part := _MIG.match(line):
            if gpus and gpus[-1].isdecimal():
                gpus.pop()  # the whole, whose parts follow
            gpus.append(part[1])
    return gpus


class Placement:
    """Which GPUs are free, and what a node takes of them.

    Args:
        gpus: The GPUs.
        workers: Number of nodes that run at a time. If they are more than the GPUs, those that
            state nothing share one.
    """

    def __init__(self, gpus: Sequence[str], workers: int):
        self.gpus = tuple(gpus)
        self.nodes_per_gpu = ceil(workers / len(gpus)) if gpus else 1
        self._free = dict.fromkeys(self.gpus, 1.0)
        self._taken: dict[str, tuple[tuple[str, ...], float]] = {}

    def find(self, amount: float) -> tuple[str, ...] | None:
        """The GPUs for a node, the freest first; None while too few are free.

        Args:
            amount: A number of whole GPUs, or a share of one below 1.
        """
        freest = sorted(self.gpus, key=lambda gpu: -self._free[gpu])
        count = max(1, round(amount))
        chosen = freest[:count]
        each = min(1.0, amount)
        if len(chosen) < count or any(self._free[gpu] < each - _ENOUGH for gpu in chosen):
            return None
        return tuple(sorted(chosen, key=self.gpus.index))

    def take(self, key: str, gpus: tuple[str, ...], amount: float) -> None:
        """Take GPUs for a node, whole ones or a share of one."""
        each = min(1.0, amount)
        for gpu in gpus:
            self._free[gpu] -= each
        self._taken[key] = gpus, each

    def release(self, key: str) -> None:
        """Free what a node has; nothing if it has none."""
        gpus, each = self._taken.pop(key, ((), 0.0))
        for gpu in gpus:
            self._free[gpu] += each
