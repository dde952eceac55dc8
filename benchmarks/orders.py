"""Simulation of `kdbench analyse second_family`: how often its interval of τ covers the truth.

True means of two families are normal with a given correlation, so a correlation of 1 is one order.
Each table adds noise of its training seeds, by which its means reach a given reliability, the share
of their variance that is between methods. Where rows differ in noise, their deviations are
log-normal, by a factor of 2 up or down, with the same mean square. The peer is the percentile
bootstrap over training seeds. An interval covers what it says over all tables; where the true
orders differ, fewer hold of those that happen to look certain.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log, sqrt

import numpy as np

from benchmarks.intervals import LEAST
from benchmarks.report import BenchmarkRow, Outcome, half_width, show, target
from kdbench.stats.orderings import order_agreement, taus

TRIALS = 400
TRIALS_OF_FEW = 2000  # with few methods, which are quick
FEW = 7
RESAMPLES = 400  # of the bootstrap
UNEVEN = log(2)  # deviation of the logarithm of a row's own deviation
LEVEL = 0.05
CERTAIN = 0.5  # an interval above this τ says that the orders are nearly one
LEAST_INTERVALS = 20  # of which a share is shown


@dataclass(frozen=True)
class Families:
    """Two simulated families.

    Attributes:
        methods: Methods in both.
        seeds: Training seeds of each.
        correlation: Of the true means.
        reliability: Of each table's means.
    """

    methods: int
    seeds: tuple[int, int]
    correlation: float
    reliability: float

    def __str__(self) -> str:
        first, second = self.seeds
        return (
            f"{self.methods} methods, {first} and {second} seeds, true correlation "
            f"{self.correlation:g}, reliability {self.reliability:g}"
        )

    @property
    def trials(self) -> int:
        """So many tables are simulated."""
        return TRIALS if self.methods > FEW else TRIALS_OF_FEW

    def draw(self, rng: np.random.Generator, uneven: bool) -> tuple[float, list[np.ndarray]]:
        """The true τ, and the scores of both tables, (methods, seeds)."""
        r = self.correlation
        normal = rng.standard_normal((self.methods, 2))
        true = np.stack([normal[:, 0], r * normal[:, 0] + sqrt(1 - r * r) * normal[:, 1]], 1)
        tables = []
        for place, seeds in enumerate(self.seeds):
            deviation = np.full(self.methods, sqrt(seeds * (1 / self.reliability - 1)))
            if uneven:
                deviation *= np.exp(rng.normal(-(UNEVEN**2), UNEVEN, self.methods))
            noise = deviation[:, None] * rng.standard_normal((self.methods, seeds))
            tables.append(true[:, [place]] + noise)
        return float(taus(true[None, :, 0], true[None, :, 1])[0]), tables


CELLS = (
    *(Families(13, (3, 3), r, 0.9) for r in (0.0, 0.6, 0.95, 1.0)),
    Families(13, (3, 3), 0.6, 0.5),
    Families(7, (5, 3), 0.6, 0.9),
    Families(7, (5, 3), 0.95, 0.5),
    *(Families(4, (3, 2), r, 0.8) for r in (0.0, 0.6, 1.0)),
)


def run() -> Outcome:
    """Measure the coverage of the interval, and how often orders are wrongly called different."""
    rows = [show(row) for cell in CELLS for uneven in (False, True) for row in _rows(cell, uneven)]
    return Outcome("simulated tables; the peer is the bootstrap", tuple(rows))


def _rows(cell: Families, uneven: bool) -> Iterator[BenchmarkRow]:
    rng = np.random.default_rng(0)
    covered, peer, differ, certain = [], [], [], []
    for trial in range(cell.trials):
        truth, (first, second) = cell.draw(rng, uneven)
        found = order_agreement(first, second, seed=trial)
        covered.append(_holds(truth, found.low, found.high))
        peer.append(_holds(truth, *_bootstrap(first, second, rng)))
        differ.append(found.p_same <= LEVEL)
        if found.low > CERTAIN:
            certain.append(covered[-1])
    name = f"{cell}{', rows differ in noise' if uneven else ''}"
    rate, error = _share(covered)
    yield BenchmarkRow(
        f"coverage of the 95 % interval of τ, {name}",
        _percent(peer),
        _percent(covered),
        target=""
        if uneven
        else target(f"≥ {100 * LEAST:g} % within its error", rate + error >= LEAST),
    )
    if len(certain) >= LEAST_INTERVALS:
        of = f"the {len(certain)} intervals above {CERTAIN:g}"
        yield BenchmarkRow(f"coverage of {of}, {name}", "", _percent(certain))
    if cell.correlation == 1:
        wrong, error = _share(differ)
        yield BenchmarkRow(
            f"one order called different, {name}",
            "",
            _percent(differ),
            target=target(f"≤ {100 * LEVEL:g} % within its error", wrong - error <= LEVEL),
        )


def _bootstrap(
    first: np.ndarray, second: np.ndarray, rng: np.random.Generator
) -> tuple[float, float]:
    """The percentile interval of τ, each table's seeds resampled for all its rows."""
    means = []
    for scores in (first, second):
        seeds = scores.shape[1]
        shares = rng.multinomial(seeds, [1 / seeds] * seeds, RESAMPLES) / seeds
        means.append(shares @ scores.T)
    low, high = np.quantile(taus(*means), [LEVEL / 2, 1 - LEVEL / 2])
    return float(low), float(high)


def _holds(truth: float, low: float, high: float) -> bool:
    return low - 1e-9 <= truth <= high + 1e-9


def _share(trials: Sequence[bool]) -> tuple[float, float]:
    """The share of the trials that hold, and half the width of its 95 % interval."""
    rate = float(np.mean(trials))
    return rate, half_width(rate, len(trials))


def _percent(trials: Sequence[bool]) -> str:
    rate, error = _share(trials)
    return f"{100 * rate:.0f} % ± {100 * error:.0f}"
