"""Estimates of scores, with error bars.

The unit of analysis is the prompt. The seeds of a prompt are averaged before prompts are
resampled, because they are not independent observations of the task.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from kdbench.stats.mean import SCALES, Moments, mean_moments, moments, scale_of


@dataclass(frozen=True)
class Estimate:
    """A number with its error bars.

    Attributes:
        value: Mean over prompts and seeds.
        ci_low: Lower end of the 95 % interval over prompts; None if undefined.
        ci_high: Upper end of the interval.
        seed_sd: Standard deviation over seeds (n - 1), as papers print it; None for one seed.
        per_seed: Mean over prompts of each seed.
        n: Number of prompts.
        standard_error: Standard error over prompts, if the number is a mean over them.
        skewness: Skewness of that mean.
    """

    value: float | None
    ci_low: float | None
    ci_high: float | None
    seed_sd: float | None
    per_seed: Mapping[str, float | None]
    n: int
    standard_error: float | None = field(default=None, kw_only=True)
    skewness: float | None = field(default=None, kw_only=True)


def estimate(scores: Mapping[int, Sequence[float | None]], unit: str = "") -> Estimate:
    """Estimate the mean of a score.

    Args:
        scores: Scores of each seed, one a document in document order; None where undefined.
        unit: Unit of the score, which may be one of a scale with ends.
    """
    per_seed = {str(seed): _mean(values) for seed, values in scores.items()}
    return with_seeds(mean_estimate(document_means(scores), unit), per_seed)


def with_seeds(numbers: Estimate, per_seed: Mapping[str, float | None]) -> Estimate:
    """Add the means of each seed, and their standard deviation, to an estimate over documents."""
    return replace(numbers, per_seed=per_seed, seed_sd=_sd(list(per_seed.values())))


def mean_estimate(values: Sequence[float | None], unit: str = "") -> Estimate:
    """Estimate the mean of one number per document, without seeds.

    Args:
        values: One number per document; None where undefined.
        unit: Unit of the numbers, which may be one of a scale with ends.
    """
    known = np.array([value for value in values if value is not None], dtype=float)
    n = len(known)
    if n < 2 or not np.isfinite(known).all():
        return Estimate(_mean(values), None, None, None, {}, n)
    scale = scale_of(unit, known)
    errors = _error(moments(known, scale), scale)
    return Estimate(_mean(values), seed_sd=None, per_seed={}, n=n, **errors)


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
    unit: str = "",
) -> Estimate:
    """Estimate a function of sums over prompts, such as a ratio.

    Args:
        sums: What each prompt adds to the K sums, by seed, shape (prompts, K); zeros for a prompt
            that adds nothing.
        statistic: Maps sums of shape (..., K) to numbers of shape (...), NaN where undefined.
        n: Number of prompts; None counts the prompts that add anything.
        unit: Unit of the number, which may be one of a scale with ends.
    """
    prompts = np.sum(list(sums.values()), axis=0)
    if n is None:
        n = int(np.any(prompts != 0, axis=1).sum())
    per_seed = {
        str(seed): finite_or_none(statistic(of_seed.sum(axis=0))) for seed, of_seed in sums.items()
    }
    value = finite_or_none(statistic(prompts.sum(axis=0)))
    seed_sd = _sd(list(per_seed.values()))
    found = _jackknife(prompts, statistic) if n > 1 else None
    return Estimate(
        value, seed_sd=seed_sd, per_seed=per_seed, n=n, **_error(found, SCALES.get(unit))
    )


def _jackknife(
    prompts: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray]
) -> Moments | None:
    """The moments of Tukey's (1958) pseudo-values, which stand for the prompts.

    There are none if the number is undefined without some prompt, because the remaining ones alone
    would mislead.
    """
    n, total = len(prompts), prompts.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        whole, without = statistic(total), statistic(total - prompts)
    pseudo = n * whole - (n - 1) * without
    if not np.isfinite(pseudo).all():
        return None
    return replace(moments(pseudo), mean=float(whole))


def _error(found: Moments | None, scale: tuple[float, float] | None) -> dict[str, float | None]:
    """The fields of an estimate that say how sure it is."""
    low, high = (None, None) if found is None else found.interval(scale)
    return {
        "ci_low": low,
        "ci_high": high,
        "standard_error": None if found is None else found.error,
        "skewness": None if found is None else found.skewness,
    }


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

    Args:
        estimates: The fields of each task's estimate, and the `unit` of the score if it has one.
    """
    known = [fields for fields in estimates if fields is not None and fields["value"] is not None]
    if not known or len(known) < len(estimates):
        return None
    value = float(np.mean([fields["value"] for fields in known]))
    seeds = list(known[0]["per_seed"])
    same_seeds = all(list(fields["per_seed"]) == seeds for fields in known)
    per_seed = {
        seed: _whole_mean([fields["per_seed"][seed] for fields in known])
        for seed in seeds
        if same_seeds
    }
    return Estimate(
        value=value,
        seed_sd=_sd(list(per_seed.values())),
        per_seed=per_seed,
        n=sum(fields["n"] for fields in known),
        **_average_error(value, known),
    )


def _average_error(value: float, known: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Interval, standard error and skewness of an average over tasks."""
    if any(fields["ci_low"] is None for fields in known):
        return {"ci_low": None, "ci_high": None}
    if any(fields.get("standard_error") is None for fields in known):
        low, high = _joined_ends(value, known)
        return {"ci_low": low, "ci_high": high}
    tasks = [
        Moments(f["value"], f["standard_error"], f["skewness"] or 0.0, f["n"] - 1) for f in known
    ]
    scale = SCALES.get(known[0].get("unit", ""))
    if scale and any(f["ci_low"] < scale[0] or f["ci_high"] > scale[1] for f in known):
        scale = None  # differences, which can be negative
    return _error(mean_moments(tasks), scale)


def _joined_ends(value: float, known: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """Ends from those of the tasks, whose distances add in quadrature (Zou and Donner 2008)."""
    below = [fields["value"] - fields["ci_low"] for fields in known]
    above = [fields["ci_high"] - fields["value"] for fields in known]
    k = len(known)
    return value - float(np.linalg.norm(below)) / k, value + float(np.linalg.norm(above)) / k


def _whole_mean(values: Sequence[float | None]) -> float | None:
    """The mean; None if a value is missing, because an average over tasks is never partial."""
    return None if None in values else _mean(values)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _sd(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.std(known, ddof=1)) if len(known) > 1 else None
