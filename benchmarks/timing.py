"""Several callables in turns (A B A B …), so that a busy machine disturbs all of them alike."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

from benchmarks.device import wait


@dataclass(frozen=True)
class Timed:
    """The seconds of every round, by name."""

    seconds: Mapping[str, list[float]]

    def median(self, name: str) -> float:
        """Of the rounds, in seconds."""
        return median(self.seconds[name])

    def ratio(self, peer: str, ours: str) -> float:
        """How many times faster we are: median of the peer over median of ours."""
        return self.median(peer) / self.median(ours)

    def spread(self, peer: str, ours: str) -> str:
        """Least and greatest ratio of a single round."""
        pairs = zip(self.seconds[peer], self.seconds[ours], strict=True)
        ratios = sorted(theirs / mine for theirs, mine in pairs)
        return f"{ratios[0]:.3g}–{ratios[-1]:.3g}, {len(ratios)} rounds"


def in_turns(runs: Mapping[str, Callable[[], object]], rounds: int, budget: float = 300.0) -> Timed:
    """Time callables in turns.

    Args:
        runs: what to time, by name, in this order in every round.
        rounds: at most; two at least.
        budget: seconds; no third or later round begins that would likely end after them.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    begun = time.perf_counter()
    for number in range(1, max(2, rounds) + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            wait()
            seconds[name].append(time.perf_counter() - start)
        spent = time.perf_counter() - begun
        if number >= 2 and spent * (number + 1) / number > budget:
            break
    return Timed(seconds)
