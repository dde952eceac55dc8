"""Simulation of the gate under differences that are skewed, tied or rare."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import product
from math import sqrt

import numpy as np

from benchmarks.report import BenchmarkRow, Outcome, half_width, target
from kdbench.comparing.model import RowTestMethod
from kdbench.comparing.pairing import PairedScores
from kdbench.comparing.rows import RowTest, compared_rows, row_tests
from kdbench.comparing.scores import PromptScores
from kdbench.comparing.tolerance import Tolerance
from kdbench.comparing.verdict import Rules, Verdict
from kdbench.stats.bootstrap import RESAMPLES

TRIALS, ALPHA = 2000, 0.05
FLIPS = 2000  # random flips of a trial
SIZES = (20, 50, 80, 242, 500)
DIFFERING = 0.15  # share of the prompts that do not tie
_KIND = PromptScores(np.zeros(0), "points", "higher", "1")

Draw = Callable[[np.random.Generator], tuple[np.ndarray, ...]]


def run() -> Outcome:
    """Measure false alarms and power under differences that tests find hard."""
    rows = (*_false_alarms(), *_power())
    return Outcome(f"simulated scores, {TRIALS:,} trials, alpha {ALPHA:g}", rows)


def lopsided(rng: np.random.Generator, n: int, loss: float = 0.0) -> tuple[np.ndarray, ...]:
    """Scores whose differences are sparse and lopsided: 85 % ties, 3 % +40, 12 % -10.

    Args:
        rng: Random generator.
        n: Number of prompts.
        loss: True loss in points, the same on every prompt.
    """
    base = np.full(n, 50.0)
    return base, base + rng.choice([0.0, 40.0, -10.0], n, p=[0.85, 0.03, 0.12]) - loss


def exchangeable(rng: np.random.Generator, n: int, loss: float = 0.0) -> tuple[np.ndarray, ...]:
    """Scores whose differences are normal, as `lopsided`."""
    base = np.full(n, 50.0)
    return base, base + rng.normal(-loss, 10, n)


def skewed(rng: np.random.Generator, n: int, loss: float = 0.0) -> tuple[np.ndarray, ...]:
    """Scores whose differences are log-normal: many small losses and a few large gains."""
    base = np.full(n, 50.0)
    return base, base + 5 * (rng.lognormal(0, 1, n) - np.exp(0.5)) - loss


def rare(rng: np.random.Generator, n: int, loss: float = 0.0) -> tuple[np.ndarray, ...]:
    """Scores of which 2 % rise and 2 % fall, all by the same amount, as those of a rare event."""
    base = np.full(n, 50.0)
    return base, base + rng.choice([0.0, 50.0, -50.0], n, p=[0.96, 0.02, 0.02]) - loss


DIFFERENCES: Mapping[str, Callable[..., tuple[np.ndarray, ...]]] = {
    "normal": exchangeable,
    "log-normal": skewed,
    "85 % ties, 3 % +40, 12 % −10": lopsided,
    "96 % ties, 2 % +50, 2 % −50": rare,
}


def sparse(rng: np.random.Generator, n: int, errors: float) -> tuple[np.ndarray, ...]:
    """Scores of which 85 % tie, while the differences of the others are normal.

    Args:
        rng: Random generator.
        n: Number of prompts.
        errors: True loss in standard errors.
    """
    sd = 20.0
    loss = errors * sd / sqrt(DIFFERING * n)  # of a prompt that does not tie
    base = np.full(n, 50.0)
    return base, base + (rng.random(n) < DIFFERING) * rng.normal(-loss, sd, n)


def tied(rng: np.random.Generator, n: int, errors: float) -> tuple[np.ndarray, ...]:
    """Scores like ROUGE-L of two similar checkpoints: 40 % tie, the others differ with long tails.

    The arguments are those of `sparse`.
    """
    sd = 12 * sqrt(2 * 0.6)  # of Laplace differences of scale 12, of which 60 % are not 0
    base = np.full(n, 50.0)
    return base, base + (rng.random(n) < 0.6) * rng.laplace(0, 12, n) - errors * sd / sqrt(n)


def dense(rng: np.random.Generator, n: int, errors: float) -> tuple[np.ndarray, ...]:
    """Scores whose differences are normal; the arguments are those of `sparse`."""
    return exchangeable(rng, n, errors * 10 / sqrt(n))


LOSSES: Mapping[str, Callable[..., tuple[np.ndarray, ...]]] = {
    "85 % ties": sparse,
    "normal": dense,
    "40 % ties, long tails": tied,
}


def results(
    tasks: Mapping[str, tuple[np.ndarray, ...]], tolerance: float, resamples: int = RESAMPLES
) -> tuple[list[RowTest], list[Verdict]]:
    """The tests and verdicts of all rows.

    Args:
        tasks: Means per prompt of the base and the new checkpoint, by task.
        tolerance: Largest acceptable loss in points.
        resamples: Number of random sign flips.
    """
    pairs = {
        task: PairedScores(tuple(map(str, range(len(base)))), base, new, 0)
        for task, (base, new) in tasks.items()
    }
    method = RowTestMethod(resamples=resamples)
    tests = list(row_tests("rougeL", _KIND, pairs, Tolerance(tolerance), method.resamples))
    return tests, [row.verdict for row in compared_rows(tests, method, Rules(ALPHA))]


@dataclass(frozen=True)
class Rates:
    """Shares of trials.

    Attributes:
        flips: Those that the sign flips alone call regressed.
        regressed: Those that the gate calls regressed.
        improved_flips: Those that the sign flips alone call improved.
        improved: Those that the gate calls improved.
    """

    flips: float
    regressed: float
    improved_flips: float
    improved: float


def rates(draw: Draw, seed: int, tolerance: float = 0.0, trials: int = TRIALS) -> Rates:
    """How often the sign flips alone and the gate give a verdict.

    Args:
        draw: Draws the scores of a trial.
        seed: Seed of the trials.
        tolerance: Largest acceptable loss in points.
        trials: Number of trials.
    """
    rng = np.random.default_rng(seed)
    counts = np.zeros(4)
    for _ in range(trials):
        (test,), (verdict,) = results({"task": draw(rng)}, tolerance, FLIPS)
        flips = test.flips
        counts += (
            flips.mean < -tolerance and flips.p(-tolerance) <= ALPHA,
            verdict == "regressed",
            flips.mean > 0 and flips.p() <= ALPHA,
            verdict == "improved",
        )
    return Rates(*map(float, counts / trials))


def percent(rate: float) -> str:
    """A share of the trials with its error."""
    return f"{100 * rate:.2f} % ± {100 * half_width(rate, TRIALS):.2f}"


def _false_alarms() -> Iterator[BenchmarkRow]:
    for (kind, draw), tolerance in product(DIFFERENCES.items(), (0.0, 0.5)):
        for n in SIZES:
            found = rates(partial(draw, n=n, loss=tolerance), n, tolerance)
            what = f"false alarms, {kind}, {n} prompts"
            loss = f"{what}, tolerance and loss {tolerance:g}: regressed"
            yield _alarm(loss, found.flips, found.regressed)
            if not tolerance:
                yield _alarm(f"{what}: improved", found.improved_flips, found.improved)


def _alarm(what: str, flips: float, rate: float) -> BenchmarkRow:
    return BenchmarkRow(
        what,
        f"sign flips alone {percent(flips)}",
        percent(rate),
        target=target(
            f"≤ {50 * ALPHA:g} % within its error", rate - half_width(rate, TRIALS) <= 0.025
        ),
    )


def _power() -> Iterator[BenchmarkRow]:
    for (kind, draw), n in product(LOSSES.items(), SIZES):
        found = rates(partial(draw, n=n, errors=2.8), n)
        yield BenchmarkRow(
            f"power, {kind}, drop of 2.8 standard errors, {n} prompts",
            f"sign flips alone {percent(found.flips)}",
            percent(found.regressed),
        )
