"""Simulation of the intervals of results: how often they cover the truth, and how wide they are."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import exp

import numpy as np

from benchmarks.report import BenchmarkRow, Outcome, half_width, target
from kdbench.stats.bootstrap import average_interval
from kdbench.stats.estimates import Estimate, average, mean_estimate

TRIALS = 1000
RESAMPLES = 400  # of the percentile bootstrap, beside which the intervals stand
SIZES = (20, 50, 80, 242, 500)
TASKS = 5  # of an average
LEAST = 0.93  # coverage that counts as that of a 95 % interval


@dataclass(frozen=True)
class Scores:
    """Scores whose true mean is known.

    Attributes:
        name: What they are like.
        truth: Their mean.
        unit: Unit, which may have a scale.
        draw: Draws one score per prompt, shape (n,).
    """

    name: str
    truth: float
    unit: str
    draw: Callable[[np.random.Generator, int], np.ndarray]


def _responses(rng: np.random.Generator, n: int) -> np.ndarray:
    """ROUGE-L of responses, as it is seen: a fifth of them 0, the others skewed."""
    return 100 * rng.beta(1.2, 3.5, n) * (rng.random(n) > 0.2)


def _tied(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.choice([0.0, 20.0, 100.0], n, p=[0.85, 0.10, 0.05])


def _of_seeds(rng: np.random.Generator, n: int) -> np.ndarray:
    """The mean over five seeds of a rare event, which some prompts make likely."""
    return rng.binomial(5, rng.beta(0.05, 2.45, n)) / 5


KINDS = (
    Scores("normal", 20.0, "points", lambda rng, n: rng.normal(20, 4, n)),
    Scores("like ROUGE-L of responses", 0.8 * 100 * 1.2 / 4.7, "points", _responses),
    Scores("skewed (log-normal)", exp(0.5), "nats", lambda rng, n: rng.lognormal(0, 1, n)),
    Scores("tied (85 % zeros)", 7.0, "points", _tied),
    Scores("a rate of 2 %", 0.02, "rate", lambda rng, n: 1.0 * (rng.random(n) < 0.02)),
    Scores("a rate of 30 %", 0.3, "rate", lambda rng, n: 1.0 * (rng.random(n) < 0.3)),
    Scores("a rate of 2 %, five seeds", 0.02, "rate", _of_seeds),
)


def run() -> Outcome:
    """Measure the coverage of the intervals of tasks and of averages over tasks."""
    rows = [row for scores in KINDS for n in SIZES for row in _rows(scores, n)]
    return Outcome(f"simulated scores, {TRIALS:,} trials; the peer is the bootstrap", tuple(rows))


def _rows(scores: Scores, n: int) -> Iterator[BenchmarkRow]:
    rng = np.random.default_rng(n)
    trials = [[scores.draw(rng, n) for _ in range(TASKS)] for _ in range(TRIALS)]
    for what, count in (("one task", 1), (f"average of {TASKS} tasks", TASKS)):
        plain = [_percentile(tasks[:count]) for tasks in trials]
        ours = [_ours(tasks[:count], scores.unit) for tasks in trials]
        rate = _coverage(ours, scores.truth)
        yield BenchmarkRow(
            f"coverage of a 95 % interval, {scores.name}, {n} prompts, {what}",
            _percent(_coverage(plain, scores.truth)),
            _percent(rate),
            ratio=f"width × {_width(ours) / max(_width(plain), 1e-12):.2f}",
            target=target(
                f"≥ {100 * LEAST:g} % within its error", rate + half_width(rate, TRIALS) >= LEAST
            ),
        )


def _percentile(tasks: list[np.ndarray]) -> tuple[float, float]:
    named = {str(index): values for index, values in enumerate(tasks)}
    return average_interval(named, 0.05, RESAMPLES)


def _ours(tasks: list[np.ndarray], unit: str) -> tuple[float, float]:
    estimates = [mean_estimate(values.tolist(), unit) for values in tasks]
    joint: Estimate | None = average([{**vars(one), "unit": unit} for one in estimates])
    one = estimates[0] if len(tasks) == 1 else joint
    if one is None or one.ci_low is None or one.ci_high is None:
        raise ValueError("an interval is missing")
    return one.ci_low, one.ci_high


def _coverage(intervals: list[tuple[float, float]], truth: float) -> float:
    return sum(low - 1e-12 <= truth <= high + 1e-12 for low, high in intervals) / len(intervals)


def _width(intervals: list[tuple[float, float]]) -> float:
    return float(np.mean([high - low for low, high in intervals]))


def _percent(rate: float) -> str:
    return f"{100 * rate:.1f} % ± {100 * half_width(rate, TRIALS):.1f}"
