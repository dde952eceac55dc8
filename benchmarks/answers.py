"""Simulation of `kdbench analyse generalization`: what its rules answer, what its intervals cover.

A table has an undistilled student and twelve methods, whose accuracy and agreement with the teacher
deviate by 0.01 between training seeds, each by itself. The rules give a verdict on the claim that
students gain without agreeing more; the peer's column has them with one deviation for all methods
(`pooled=true`). The intervals are those of the rank correlation of gain and agreement, within a
seed and between seeds; true gains and changes of agreement are normal with a deviation of 0.02,
and the chance of a training moves each by itself or both together.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from math import sqrt

import numpy as np

from benchmarks.report import BenchmarkRow, Outcome, half_width, show
from kdbench.analyses.answered.kinds import ClaimVerdict, answer_changes, verdict_of
from kdbench.analyses.answered.measures import AnswerMeasures
from kdbench.analyses.answered.read import AnsweredTable

TRIALS = 400
TABLES = 400  # of the correlations, each with its own methods
REPLICATES = 500  # of a table's seeds, which give the correlation to cover
METHODS = 12
NOISE = 0.01
SPREAD = 0.02
SEEDS = (3, 5)
BOTH_RIGHT, TEACHER, STUDENT, AGREEMENT = 0.35, 0.60, 0.45, 0.40

Changes = Sequence[tuple[float, float]]
"""True gain and change of agreement of each method."""
CLAIMS: dict[str, Changes] = {
    "all gain 0, agree more by 0": [(0.0, 0.0)] * METHODS,
    "all gain 0.05, agree more by 0.05": [(0.05, 0.05)] * METHODS,
    "all gain 0.05, agree more by 0.025": [(0.05, 0.025)] * METHODS,
    "all gain 0.05, agree more by 0": [(0.05, 0.0)] * METHODS,
    "six gain 0.10 and agree more by 0.10, six 0.02 and 0": [(0.1, 0.1)] * 6 + [(0.02, 0.0)] * 6,
}


def run() -> Outcome:
    """Measure the verdicts on known changes, and the coverage of the correlations' intervals."""
    rows = [show(row) for name, changes in CLAIMS.items() for row in _verdicts(name, changes)]
    rows += [
        show(row)
        for correlation in (0.0, 0.7)
        for shared in (0.0, 0.7)
        for row in _coverages(correlation, shared)
    ]
    return Outcome("simulated answers; the peer's column has pooled=true", tuple(rows))


def _verdicts(name: str, changes: Changes) -> Iterator[BenchmarkRow]:
    for seeds in SEEDS:
        rng = np.random.default_rng(seeds)
        tables = [_table(np.array(changes), seeds, rng) for _ in range(TRIALS)]
        own, pooled = (
            [verdict_of(answer_changes(AnswerMeasures(table, one))) for table in tables]
            for one in (False, True)
        )
        yield BenchmarkRow(f"{name}, {seeds} seeds", _shares(pooled), _shares(own))


def _table(
    changes: np.ndarray, seeds: int, rng: np.random.Generator, shared: float = 0.0
) -> AnsweredTable:
    """A table of known changes, (methods, 2), with noise of training seeds.

    `shared` is the correlation of the noise of accuracy and agreement in one training.
    """
    means = np.array([STUDENT, AGREEMENT]) + np.vstack([[0.0, 0.0], changes])
    numbers = means[:, None] + _noise(rng, (len(means), seeds), shared)
    accuracy, agreement = numbers[..., 0], numbers[..., 1]
    right = np.full_like(accuracy, BOTH_RIGHT)
    parts = [right, agreement - right, accuracy - right, TEACHER - right]
    cells = np.stack([*parts, 1 - sum(parts)], axis=-1)
    return AnsweredTable(
        labels=("SFT", *(f"method {number}" for number in range(1, len(means)))),
        seeds=tuple(range(seeds)),
        tasks=("answers",),
        cells=cells[:, :, None],
        option_kl=np.zeros((len(means), seeds, 0)),
        left_out={},
    )


def _noise(rng: np.random.Generator, shape: tuple[int, int], shared: float) -> np.ndarray:
    """What a training's chance does to accuracy and agreement, (*shape, 2)."""
    return rng.multivariate_normal([0, 0], NOISE**2 * _with_correlation(shared), shape)


def _with_correlation(correlation: float) -> np.ndarray:
    return np.array([[1, correlation], [correlation, 1]])


def _coverages(correlation: float, shared: float) -> Iterator[BenchmarkRow]:
    for seeds in (2, *SEEDS):
        rng = np.random.default_rng(seeds)
        held = []
        for _ in range(TABLES):
            covariance = SPREAD**2 * _with_correlation(correlation)
            changes = rng.multivariate_normal([0, 0], covariance, METHODS)
            held.append(_held(changes, seeds, shared, rng))
        for name, rate in zip(("within a seed", "between seeds"), np.mean(held, 0), strict=True):
            yield BenchmarkRow(
                f"coverage of the 95 % interval of the rank correlation {name}, true correlation "
                f"{correlation:g}, {seeds} seeds, correlation of the noise {shared:g}",
                "",
                f"{100 * rate:.0f} % ± {100 * half_width(rate, TABLES):.0f}",
            )


def _held(
    changes: np.ndarray, seeds: int, shared: float, rng: np.random.Generator
) -> tuple[bool, bool]:
    """Whether the two intervals hold the mean correlation over training seeds."""
    measures = AnswerMeasures(_table(changes, seeds, rng, shared))
    found = measures.correlations(measures.agreements)
    if found is None or found.by_seed is None or found.between_seeds is None:
        raise ValueError("a correlation is missing")
    means = _mean_correlations(changes, seeds, shared, rng)
    within, between = (
        one.low is not None and one.high is not None and one.low <= mean <= one.high
        for one, mean in zip((found.by_seed, found.between_seeds), means, strict=True)
    )
    return within, between


def _mean_correlations(
    changes: np.ndarray, seeds: int, shared: float, rng: np.random.Generator
) -> tuple[float, float]:
    """The correlations that other training seeds of the same methods have on average."""
    one = changes + _noise(rng, (REPLICATES, METHODS), shared)
    others = changes + _noise(rng, (REPLICATES, METHODS), shared) / sqrt(seeds - 1)
    within = _rank_correlation(one[..., 0], one[..., 1])
    return within, _rank_correlation(one[..., 0], others[..., 1])


def _rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's correlation of each line, averaged; without ties."""
    ranks = [of.argsort(1).argsort(1) - (METHODS - 1) / 2 for of in (first, second)]
    return float((ranks[0] * ranks[1]).sum(1).mean() / (METHODS * (METHODS**2 - 1) / 12))


def _shares(verdicts: Sequence[ClaimVerdict]) -> str:
    return ", ".join(
        f"{name} {100 * of / TRIALS:.0f} % ± {100 * half_width(of / TRIALS, TRIALS):.0f}"
        for name, of in sorted(Counter(verdicts).items())
    )
