"""What the device can do, measured, and a decoding step beside it."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.device import device, wait

_REPEATS = 5
_BYTES = {"cpu": 2**28, "cuda": 2**32}  # of a tensor that no cache holds
_SIDE = {"cpu": 2048, "cuda": 8192}  # of the matrices that are multiplied


@dataclass(frozen=True)
class Limits:
    """The measured limits of the device.

    Attributes:
        bandwidth: Bytes a second of its memory.
        operations: Floating-point operations a second of a matrix product in bfloat16.
    """

    bandwidth: float
    operations: float

    def __str__(self) -> str:
        return f"measured: {self.bandwidth / 1e9:,.4g} GB/s, {self.operations / 1e12:,.3g} TFLOP/s"


@dataclass(frozen=True)
class Step:
    """A side's speed.

    Attributes:
        rows: Rows that decode together.
        tokens_per_second: Response tokens a second, with the time of the prompts.
        seconds: Seconds of a decoding step.
        bytes: Bytes that a step must read.
        operations: Floating-point operations that a step must do.
    """

    rows: int
    tokens_per_second: float
    seconds: float
    bytes: float
    operations: float

    def text(self, limits: Limits) -> str:
        """Tokens a second, milliseconds a step, its bytes, and the share of the bandwidth."""
        share = self.bytes / self.seconds / limits.bandwidth if self.seconds else float("nan")
        return (
            f"{self.tokens_per_second:,.0f} tokens/s, {self.seconds * 1e3:.3g} ms a step, "
            f"{self.bytes / 1e9:.3g} GB a step, {share:.1%} of the bandwidth"
        )

    def least(self, limits: Limits) -> str:
        """The least time of a step by bandwidth and by arithmetic."""
        by_reading = self.bytes / limits.bandwidth
        by_arithmetic = self.operations / limits.operations
        share = max(by_reading, by_arithmetic) / self.seconds if self.seconds else float("nan")
        return (
            f"{by_reading * 1e3:.3g} ms of reading, {by_arithmetic * 1e3:.3g} ms of arithmetic: "
            f"{share:.1%} of the limit reached"
        )


def measured_limits() -> Limits:
    """Measure the device's memory bandwidth and its matrix product."""
    return Limits(_bandwidth(device()), _operations(device()))


def _bandwidth(kind: str) -> float:
    import torch

    weights = torch.ones(_BYTES[kind] // 8192, 4096, dtype=torch.bfloat16, device=kind)
    copy, vector = torch.empty_like(weights), weights[0].clone()
    copied = 2 * _BYTES[kind] / _best(lambda: copy.copy_(weights))
    read = _BYTES[kind] / _best(lambda: weights @ vector)
    return max(copied, read)


def _operations(kind: str) -> float:
    import torch

    side = _SIDE[kind]
    square = torch.ones(side, side, dtype=torch.bfloat16, device=kind)
    return 2 * side**3 / _best(lambda: square @ square)


def _best(work: Callable[[], object]) -> float:
    """The fewest seconds of several calls."""
    work()
    wait()
    seconds = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        work()
        wait()
        seconds.append(time.perf_counter() - start)
    return min(seconds)
