"""Where models run (`KDBENCH_BENCH_DEVICE`, else the CPU), and what something takes there."""

import os
from pathlib import Path
from typing import Any


def device() -> str:
    """`cpu` or `cuda`."""
    return os.environ.get("KDBENCH_BENCH_DEVICE", "cpu")


def gpu() -> str:
    """The GPU's name; empty on a CPU."""
    if device() == "cpu":
        return ""
    import torch

    return str(torch.cuda.get_device_name())


def wait() -> None:
    """Until the device has done what it was given, so that a clock can be read."""
    if device() != "cpu":
        import torch

        torch.cuda.synchronize()


class ExtraMemory:
    """The most memory that a block took beyond what was in use before it.

    Of the device: on a CPU the process's resident set (Linux), on a GPU torch's allocations.

    Attributes:
        bytes: known after the block, or after `read`.
    """

    bytes = 0

    def __enter__(self) -> "ExtraMemory":
        self._before = _cuda_start() if device() != "cpu" else _host_start()
        return self

    def read(self) -> None:
        """Take the peak so far."""
        self.bytes = (_cuda_peak() if device() != "cpu" else _host("VmHWM")) - self._before

    def __exit__(self, *_: Any) -> None:
        self.read()


def _cuda_start() -> int:
    import torch

    wait()
    torch.cuda.reset_peak_memory_stats()
    return int(torch.cuda.memory_allocated())


def _cuda_peak() -> int:
    import torch

    return int(torch.cuda.max_memory_allocated())


def _host_start() -> int:
    Path("/proc/self/clear_refs").write_text("5")
    return _host("VmRSS")


def _host(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"no {key} here: this benchmark needs Linux")
