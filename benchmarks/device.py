"""The device of the models (`KDBENCH_BENCH_DEVICE`, by default the CPU) and its peak memory."""

import ctypes
import os
from pathlib import Path
from typing import Any


def device() -> str:
    """The device: `cpu` or `cuda`."""
    return os.environ.get("KDBENCH_BENCH_DEVICE", "cpu")


def gpu() -> str:
    """The name of the GPU; empty on a CPU."""
    if device() == "cpu":
        return ""
    import torch

    return str(torch.cuda.get_device_name())


def wait() -> None:
    """Wait until the device has finished its work, so that a clock reading is valid."""
    if device() != "cpu":
        import torch

        torch.cuda.synchronize()


class ExtraMemory:
    """A context that measures the peak memory of its block, less the memory in use before it.

    On a CPU this is the resident set of the process (Linux only), on a GPU torch's allocations.

    Attributes:
        bytes: Extra peak memory; set at the end of the block, or by `read`.
    """

    bytes = 0

    def __enter__(self) -> "ExtraMemory":
        self._before = _cuda_start() if device() != "cpu" else _host_start()
        return self

    def read(self) -> None:
        """Set `bytes` to the peak so far."""
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
    _give_back()
    Path("/proc/self/clear_refs").write_text("5")
    return _host("VmRSS")


def _give_back() -> None:
    """Return freed memory to the system, else the block could use it without any extra."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):  # glibc alone
        libc.malloc_trim(0)


def _host(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {key}: this benchmark needs Linux")
