"""Estimates of scores, with error bars.

The unit of analysis is the prompt. The seeds of a prompt are averaged before prompts are
resampled, because they are not independent observations of the task.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kdbench.stats.bootstrap import mean_interval, pooled_interval


@dataclass(frozen=True)
class Estimate:
    """A number with its error bars.

    Attributes:
        value: Mean over prompts and seeds.
        ci_low: Lower end of the 95 % bootstrap interval over prompts; None if undefined.
        ci_high: Upper end of the interval.
        seed_sd: Standard deviation over seeds (n - 1), as papers print it; None for one seed.
        per_seed: Mean over prompts of each seed.
        n: Number of prompts.
    """

    value: float | None
    ci_low: float | None
    ci_high: float | None
    seed_sd: float | None
    per_seed: Mapping[str, float | None]
    n: int


def estimate(scores: Mapping[int, Sequence[float | None]]) -> Estimate:
    """Estimate the mean of a score.

    Args:
        scores: Scores of each seed, one a document in document order; None where undefined.
    """
    per_seed = {str(seed): _mean(values) for seed, values in scores.items()}
    documents = document_means(scores)
    known = np.array([value for value in documents if value is not None])
    low, high = mean_interval(known) if len(known) > 1 else (None, None)
    return Estimate(
        value=_mean(documents),
        ci_low=low,
        ci_high=high,
        seed_sd=_sd(list(per_seed.values())),
        per_seed=per_seed,
        n=len(known),
    )


def corpus_estimate(per_seed: Mapping[int, float | None], n: int) -> Estimate:
    """Estimate a metric that has one number per seed and therefore no interval over prompts.

    Args:
        per_seed: The metric's number for each seed; None where undefined.
        n: Number of prompts.
    """
    values = list(per_seed.values())
    named = {str(seed): value for seed, value in per_seed.items()}
    return Estimate(_mean(values), None, None, _sd(values), named, n)


def pooled_estimate(
    sums: Mapping[int, np.ndarray],
    statistic: Callable[[np.ndarray], np.ndarray],
    n: int | None = None,
) -> Estimate:
    """Estimate a function of sums over prompts, such as a ratio.

    Args:
        sums: What each prompt adds to the K sums, by seed, shape (prompts, K); zeros for a prompt
            that adds nothing.
        statistic: Maps sums of shape (..., K) to numbers of shape (...), NaN where undefined.
        n: Number of prompts; None counts the prompts that add anything.
    """
    prompts = np.sum(list(sums.values()), axis=0)
    if n is None:
        n = int(np.any(prompts != 0, axis=1).sum())
    low, high = pooled_interval(prompts, statistic) if n > 1 else (np.nan, np.nan)
    per_seed = {
        str(seed): finite_or_none(statistic(of_seed.sum(axis=0))) for seed, of_seed in sums.items()
    }
    value = finite_or_none(statistic(prompts.sum(axis=0)))
    return Estimate(
        value, finite_or_none(low), finite_or_none(high), _sd(list(per_seed.values())), per_seed, n
    )


def finite_or_none(value: np.ndarray | float) -> float | None:
    """A number; None if it is infinite or not a number."""
    return float(value) if np.isfinite(value) else None


def document_means(scores: Mapping[int, Sequence[float | None]]) -> list[float | None]:
    """The mean over seeds of each document; None if no seed has a score.

    Args:
        scores: Scores of each seed, one a document in document order; None where undefined.
    """
    return [_mean(values) for values in zip(*scores.values(), strict=True)]


def average(estimates: Sequence[Mapping[str, Any] | None]) -> Estimate | None:
    """The plain mean of several tasks' means, the AVG of papers; None if a task is missing.

    The prompts of different tasks are independent, so half-widths of the intervals add in
    quadrature. The result agrees with a joint bootstrap (see the tests) and needs no scores.

    Args:
        estimates: The fields of each task's estimate.
    """
    known = [fields for fields in estimates if fields is not None and fields["value"] is not None]
    if not known or len(known) < len(estimates):
        return None
    value = float(np.mean([fields["value"] for fields in known]))
    low = high = None
    if all(fields["ci_low"] is not None for fields in known):
        below = [fields["value"] - fields["ci_low"] for fields in known]
        above = [fields["ci_high"] - fields["value"] for fields in known]
        low = value - float(np.linalg.norm(below)) / len(known)
        high = value + float(np.linalg.norm(above)) / len(known)
    seeds = list(known[0]["per_seed"])
    same_seeds = all(list(fields["per_seed"]) == seeds for fields in known)
    per_seed = {
        seed: _whole_mean([fields["per_seed"][seed] for fields in known])
        for seed in seeds
        if same_seeds
    }
    n = sum(fields["n"] for fields in known)
    return Estimate(value, low, high, _sd(list(per_seed.values())), per_seed, n)


def _whole_mean(values: Sequence[float | None]) -> float | None:
    """The mean; None if a value is missing, because an average over tasks is never partial."""
    return None if None in values else _mean(values)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _sd(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.std(known, ddof=1)) if len(known) > 1 else None
