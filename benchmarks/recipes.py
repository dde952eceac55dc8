"""Simulation of the test of two recipes: false alarms, and the power that `plan` promises."""

from collections.abc import Iterator
from itertools import product
from math import sqrt

import numpy as np

from benchmarks.report import BenchmarkRow, Outcome, half_width, target
from kdbench.stats.paired import POWER
from kdbench.stats.variances import MeanTest, Variances, variances

TRIALS, ALPHA, PROMPTS = 2000, 0.05, 100
SD = 10.0  # of differences over prompts, and of what is left between trainings and prompts
TRAININGS = (2, 3, 5)
SHARES = (0.0, 0.3, 1.0, 3.0)  # deviation between trainings, in errors over prompts
PILOTS = 200


def run() -> Outcome:
    """Measure false alarms and power for numbers of training seeds."""
    details = f"simulated differences, {TRIALS:,} trials, {PROMPTS} prompts, alpha {ALPHA:g}"
    return Outcome(details, (*_false_alarms(), *_power()))


def _draw(rng: np.random.Generator, trained: int, share: float, change: float = 0.0) -> Variances:
    """The variances of differences by training seed and prompt, whose true mean is the change."""
    offsets = rng.normal(0, share * SD / sqrt(PROMPTS), (trained, 1, 1))
    prompts = rng.normal(0, SD, (1, 1, PROMPTS))
    rest = rng.normal(0, SD, (trained, 1, PROMPTS))
    return variances([change + offsets + prompts + rest])


def _name(trained: int, share: float) -> str:
    return f"{trained} training seeds, sd_training of {share:g} errors over prompts"


def _rejects(test: MeanTest) -> tuple[bool, bool]:
    """Whether the crossed t test alone, and the test, reject that nothing changed."""
    return test.moments.p_value() <= ALPHA, test.p_value() <= ALPHA


def _false_alarms() -> Iterator[BenchmarkRow]:
    for trained, share in product(TRAININGS, SHARES):
        rng = np.random.default_rng(trained)
        found = [_rejects(_draw(rng, trained, share).test) for _ in range(TRIALS)]
        crossed, rate = np.mean(found, axis=0)
        yield BenchmarkRow(
            f"false alarms, {_name(trained, share)}",
            f"crossed t test alone {_percent(crossed)}",
            _percent(rate),
            target=target(
                f"≤ {100 * ALPHA:g} % within its error", rate - half_width(rate, TRIALS) <= ALPHA
            ),
        )


def _power() -> Iterator[BenchmarkRow]:
    for trained, share in product((3, 5, 10), SHARES):
        rng = np.random.default_rng(trained)
        pilots = [_draw(rng, 30, share).with_trainings(trained) for _ in range(PILOTS)]
        change = float(np.mean([pilot.detectable(ALPHA, POWER) for pilot in pilots]))
        found = [_rejects(_draw(rng, trained, share, change).test) for _ in range(TRIALS)]
        rate = float(np.mean(found, axis=0)[1])
        yield BenchmarkRow(
            f"power at the change that plan says is seen, {_name(trained, share)}",
            f"planned {100 * POWER:g} %",
            _percent(rate),
        )


def _percent(rate: float) -> str:
    return f"{100 * rate:.2f} % ± {100 * half_width(rate, TRIALS):.2f}"
