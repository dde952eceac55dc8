"""The cost of a method: seconds and tokens by phase, and memory."""

import ctypes
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pydantic import BaseModel, Field


class PhaseCost(BaseModel):
    """The cost of a phase.

    Attributes:
        seconds: Its seconds.
        tokens: Its tokens.
    """

    seconds: float = Field(ge=0)
    tokens: int = Field(ge=0)


class Phases:
    """Adds up seconds and tokens by phase; phases do not nest.

    Attributes:
        seconds: Seconds by phase.
        tokens: Tokens by phase.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.tokens: dict[str, int] = {}

    @contextmanager
    def __call__(self, name: str, tokens: int = 0) -> Iterator[None]:
        """Time a phase, including the work that is still in the device's queue at its end."""
        start = time.perf_counter()
        try:
            yield
        finally:
            wait_for_device()
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
            self.count(name, tokens)

    def count(self, name: str, tokens: int) -> None:
        """Add tokens to a phase."""
        self.tokens[name] = self.tokens.get(name, 0) + tokens

    def as_dict(self) -> dict[str, dict[str, float]]:
        """`seconds` and `tokens` of each phase."""
        return {
            name: {"seconds": self.seconds[name], "tokens": self.tokens.get(name, 0)}
            for name in sorted(self.seconds)
        }

    def add(self, costs: Mapping[str, Mapping[str, float]]) -> None:
        """Add what the `as_dict` of others returned."""
        for name, cost in costs.items():
            self.seconds[name] = self.seconds.get(name, 0.0) + cost["seconds"]
            self.count(name, int(cost["tokens"]))

    def restore(self, state: Mapping[str, Mapping[str, float]]) -> None:
        """Continue from what `as_dict` returned."""
        self.seconds = {name: phase["seconds"] for name, phase in state.items()}
        self.tokens = {name: int(phase["tokens"]) for name, phase in state.items()}


def wait_for_device() -> None:
    """Wait for the work that is still in the device's queue."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


def release_memory() -> None:
    """Give freed memory back to the system.

    The C library of Linux keeps the pages of freed tensors of many sizes. In 50 steps on real data
    the process grew to twice its memory after the first step, with no more tensors alive.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "malloc_trim"):  # glibc
            libc.malloc_trim(0)


def peak_memory() -> dict[str, int]:
    """Peak memory in bytes: `host` is the largest resident set so far, `device` that of a GPU."""
    import resource

    import torch

    unit = 1 if sys.platform == "darwin" else 1024
    peak = {"host": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}
    if torch.cuda.is_available():
        peak["device"] = torch.cuda.max_memory_allocated()
    return peak
