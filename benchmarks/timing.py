"""Timing of functions in turns (A B A B …), so that a busy machine slows all of them equally.

KDBENCH_BENCH_CLOCK=process counts the processor's seconds instead of those on the wall, for a
machine that others use too; it is only fair with one thread (OMP_NUM_THREADS=1), and on a CPU.
"""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

from benchmarks.device import wait

OF_PROCESSOR = os.environ.get("KDBENCH_BENCH_CLOCK") == "process"


def clock() -> float:
    """Seconds of a clock of which only differences have a meaning."""
    return time.process_time() if OF_PROCESSOR else time.perf_counter()


def clock_title() -> str:
    """What a title says about the clock; empty for that on the wall."""
    return ", processor time" if OF_PROCESSOR else ""


@dataclass(frozen=True)
class Timed:
    """Times of functions.

    Attributes:
        seconds: Seconds of every round, by name.
    """

    seconds: Mapping[str, list[float]]

    def median(self, name: str) -> float:
        """The median of the rounds, in seconds."""
        return median(self.seconds[name])

    def ratio(self, peer: str, ours: str) -> float:
        """How many times faster kdbench is: the peer's median divided by ours."""
        return self.median(peer) / self.median(ours)

    def spread(self, peer: str, ours: str) -> str:
        """The smallest and the largest ratio of a single round."""
        pairs = zip(self.seconds[peer], self.seconds[ours], strict=True)
        ratios = sorted(theirs / own_time for theirs, own_time in pairs)
        return f"{ratios[0]:.3g}–{ratios[-1]:.3g}, {len(ratios)} rounds"


def in_turns(runs: Mapping[str, Callable[[], object]], rounds: int, budget: float = 300.0) -> Timed:
    """Time functions in turns.

    Args:
        runs: Functions by name, in their order in every round.
        rounds: Maximum number of rounds; at least two run.
        budget: Seconds. After two rounds, no round begins that would likely exceed them.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    began = time.perf_counter()
    for number in range(1, max(2, rounds) + 1):
        for name, run in runs.items():
            start = clock()
            run()
            wait()
            seconds[name].append(clock() - start)
        spent = time.perf_counter() - began
        if number >= 2 and spent * (number + 1) / number > budget:
            break
    return Timed(seconds)
