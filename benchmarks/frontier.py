"""Simulation of the interval of a frontier's gain: how often it covers the truth, and how wide."""

from dataclasses import dataclass
from math import exp

import numpy as np

from benchmarks.report import BenchmarkRow, Outcome, target
from kdbench.frontiers.curve import Curve, mean_gap
from kdbench.frontiers.gain import CurveNumbers, find_gain

TRIALS = 1000
RESAMPLES = 400  # of the percentile bootstrap, which a quarter of the trials also gets
LEAST = 0.93  # coverage that counts as that of a 95 % interval
SHARPER, BETTER = 1.3, 1.0  # the student's entropies are smaller, and its curve is higher
ENTROPIES = np.array([0.1, 0.25, 0.4, 0.6, 0.8, 1.1])


@dataclass(frozen=True)
class Case:
    """A frontier of one student and its baseline.

    Attributes:
        prompts: Number of prompts of each task.
        trainings: Number of training seeds.
        tasks: Number of tasks.
        spread: Standard deviation of the quality between trainings, in points.
    """

    prompts: int
    trainings: int
    tasks: int
    spread: float

    def __str__(self) -> str:
        return (
            f"{self.prompts} prompts, {self.trainings} trainings ({self.spread:g} points apart), "
            f"{self.tasks} tasks"
        )


CASES = (
    Case(10, 1, 1, 0),
    Case(20, 1, 1, 0),
    Case(50, 1, 1, 0),
    Case(20, 1, 3, 0),
    Case(20, 3, 1, 0),
    Case(20, 3, 1, 1),
    Case(20, 5, 1, 1),
    Case(50, 2, 1, 1),
)


def run() -> Outcome:
    """Measure the coverage of the interval, and that of a bootstrap over prompts beside it."""
    rng = np.random.default_rng(0)
    rows = tuple(_row(case, rng) for case in CASES)
    return Outcome(f"simulated frontiers, {TRIALS:,} trials", rows)


def quality(x: np.ndarray) -> np.ndarray:
    """The baseline's true quality at an entropy, in points."""
    return 60 - 12 * x**2


def truth() -> float:
    """The true gain of the student."""
    own = Curve.of(ENTROPIES / SHARPER, quality(ENTROPIES / SHARPER) + BETTER)
    gap = mean_gap(own, Curve.of(ENTROPIES, quality(ENTROPIES)))
    assert gap is not None
    return gap


def draw(case: Case, rng: np.random.Generator) -> list[tuple[CurveNumbers, CurveNumbers]]:
    """Entropies and qualities of the student and its baseline, by training.

    Prompts differ in how hard they are and in their entropy, for both alike.
    """
    own: list[list[np.ndarray]] = [[] for _ in range(case.trainings)]
    base: list[list[np.ndarray]] = [[] for _ in range(case.trainings)]
    own_shifts = rng.normal(0, case.spread, case.trainings)
    base_shifts = rng.normal(0, case.spread, case.trainings)
    for _ in range(case.tasks):
        hardness = rng.exponential(20, case.prompts) - 20
        openness = rng.lognormal(-0.3, 0.6, case.prompts) / exp(-0.3 + 0.18)
        for t in range(case.trainings):
            x = ENTROPIES / SHARPER
            numbers = _noisy(x, hardness, openness, BETTER + own_shifts[t], rng)
            own[t].append(numbers)
            base[t].append(_noisy(ENTROPIES, hardness, openness, base_shifts[t], rng))
    return list(zip(own, base, strict=True))


def _noisy(
    x: np.ndarray,
    hardness: np.ndarray,
    openness: np.ndarray,
    shift: float,
    rng: np.random.Generator,
) -> np.ndarray:
    shape = (len(x), len(hardness))
    noise = np.exp(rng.normal(0, 0.15, shape) - 0.15**2 / 2)
    qualities = quality(x)[:, None] + hardness + rng.normal(0, 8, shape) + shift
    return np.stack([x[:, None] * openness * noise, qualities])


def _row(case: Case, rng: np.random.Generator) -> BenchmarkRow:
    covered, resampled, widths = [], [], []
    for trial in range(TRIALS):
        pairs = draw(case, rng)
        found = find_gain(pairs)
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        covered.append(found.low <= truth() <= found.high)
        widths.append(found.high - found.low)
        if case.trainings == 1 and trial < TRIALS // 4:
            low, high = _bootstrap(*pairs[0], rng)
            resampled.append(low <= truth() <= high)
    share = float(np.mean(covered))
    peer = f"bootstrap {np.mean(resampled):.1%}" if resampled else ""
    mine = f"{share:.1%}, {np.mean(widths):.1f} points wide"
    return BenchmarkRow(str(case), peer, mine, target=target(f"≥ {LEAST:.0%}", share >= LEAST))


def _bootstrap(
    own: CurveNumbers, base: CurveNumbers, rng: np.random.Generator
) -> tuple[float, float]:
    """The percentile interval over prompts, the same ones of both."""
    gaps = []
    for _ in range(RESAMPLES):
        means = [np.zeros((2, len(ENTROPIES))) for _ in range(2)]
        for of_own, of_base in zip(own, base, strict=True):
            drawn = rng.integers(0, of_own.shape[-1], of_own.shape[-1])
            means[0] += of_own[..., drawn].mean(-1) / len(own)
            means[1] += of_base[..., drawn].mean(-1) / len(own)
        gap = mean_gap(Curve.of(*means[0]), Curve.of(*means[1]))
        assert gap is not None
        gaps.append(gap)
    low, high = np.quantile(gaps, [0.025, 0.975])
    return float(low), float(high)
