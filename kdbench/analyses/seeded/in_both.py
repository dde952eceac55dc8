"""The rows that two tables share, by label: their scores, gains, ranks and order in both."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kdbench.analyses.seeded.scores import RankedScores, RunsBySeed, seed_scores
from kdbench.errors import InputError
from kdbench.stats.orderings import FEWEST, OrderAgreement, order_agreement
from kdbench.stats.over_seeds import SeedMean, difference_over_seeds, mean_over_seeds

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class RowGain:
    """A row of one table.

    Attributes:
        mean: Its mean over training seeds.
        gain: How much better it is than the baseline, paired by training seed.
        rank: From 1, the best; rows with one mean share theirs.
    """

    mean: SeedMean
    gain: SeedMean
    rank: int


@dataclass(frozen=True)
class InBoth:
    """Rows that two tables share.

    Attributes:
        names: What the tables are called.
        labels: The rows.
        tables: Their scores in both.
        gains: Their gains in both.
        orders: How far the orders agree.
        alone: Rows that only one of the tables has, for both.
        lacking: Rows of both that have fewer training seeds than others.
    """

    names: tuple[str, str]
    labels: tuple[str, ...]
    tables: tuple[RankedScores, RankedScores]
    gains: tuple[Sequence[RowGain], Sequence[RowGain]]
    orders: OrderAgreement
    alone: tuple[Sequence[str], Sequence[str]]
    lacking: Sequence[str]


def rows_in_both(
    runs: tuple[RunsBySeed, RunsBySeed], names: tuple[str, str], metric: str, baseline: str
) -> InBoth:
    """Pair the rows of two tables by label.

    Args:
        runs: Runs of both tables, by label and training seed.
        names: What the tables are called.
        metric: Name of the metric.
        baseline: Label of the row over which gains are taken.

    Raises:
        InputError: They share too few rows, or not the baseline.
    """
    tables = _paired(runs, names, metric)
    labels = tables[0].labels
    if baseline not in labels:
        raise InputError(
            f"baseline={baseline}: is no row that both tables have with all training seeds; they "
            f"have {', '.join(labels)}"
        )
    sign = -1 if tables[0].lower else 1
    for table, name in zip(tables, names, strict=True):
        means = table.scores.mean(axis=1)
        if means.max() == means.min():
            raise InputError(f"metric={metric}: is one number for all rows of {name}; name another")
    place = labels.index(baseline)
    return InBoth(
        names=names,
        labels=labels,
        tables=tables,
        gains=(_gains(tables[0], place), _gains(tables[1], place)),
        orders=order_agreement(sign * tables[0].scores, sign * tables[1].scores),
        alone=(_without(runs[0], runs[1]), _without(runs[1], runs[0])),
        lacking=[label for label in runs[0] if label in runs[1] and label not in labels],
    )


def _without(runs: RunsBySeed, others: RunsBySeed) -> list[str]:
    return [label for label in runs if label not in others]


def _paired(
    runs: tuple[RunsBySeed, RunsBySeed], names: tuple[str, str], metric: str
) -> tuple[RankedScores, RankedScores]:
    """The scores of the rows that both tables have with all of their seeds, in one order."""
    shared = [label for label in runs[0] if label in runs[1]]
    while True:
        if len(shared) < FEWEST:
            raise InputError(
                f"{names[0]} and {names[1]}: share {len(shared)} rows with several training seeds "
                f"({', '.join(shared) or 'none'}), and two orders need {FEWEST}; rows are paired "
                "by label"
            )
        one, other = (
            seed_scores({label: of[label] for label in shared}, metric, name)
            for of, name in zip(runs, names, strict=True)
        )
        if one.labels == other.labels:
            return one, other
        shared = [label for label in one.labels if label in other.labels]


def _gains(table: RankedScores, baseline: int) -> list[RowGain]:
    signed = -table.scores if table.lower else table.scores
    means = signed.mean(axis=1)
    shown, better = ([_by_seed(table, row) for row in rows] for rows in (table.scores, signed))
    return [
        RowGain(
            mean_over_seeds(row),
            difference_over_seeds(better[place], better[baseline]),
            1 + int((means > means[place]).sum()),
        )
        for place, row in enumerate(shown)
    ]


def _by_seed(table: RankedScores, row: "np.ndarray") -> dict[int, float]:
    return dict(zip(table.seeds, map(float, row), strict=True))
