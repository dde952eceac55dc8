"""Scores become numbers with error bars.

The unit is the prompt: seeds of one prompt are averaged before anything is resampled, because
they are not independent observations of the task.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

RESAMPLES = 10_000
CONFIDENCE = 0.95
_CHUNK = 2**22  # resampled indices that live at once
_KEPT = 2**24  # those that stay for the next metric


@dataclass(frozen=True)
class Estimate:
    """A number with its error bars.

    Attributes:
        value: mean over prompts and seeds.
        ci_low: lower end of the 95 % bootstrap interval over prompts; None where undefined.
        ci_high: upper end.
        seed_sd: standard deviation over seeds (n - 1), what papers print; None for one seed.
        per_seed: mean over prompts, by seed.
        n: prompts behind the number.
    """

    value: float | None
    ci_low: float | None
    ci_high: float | None
    seed_sd: float | None
    per_seed: Mapping[str, float | None]
    n: int


def estimate(scores: Mapping[int, Sequence[float | None]]) -> Estimate:
    """Estimate from scores by seed, each in document order.

    Args:
        scores: seed to one score a document; None where a score is not defined.
    """
    per_seed = {str(seed): _mean(values) for seed, values in scores.items()}
    documents = document_means(scores)
    known = np.array([value for value in documents if value is not None])
    low, high = bootstrap_interval(known) if len(known) > 1 else (None, None)
    return Estimate(
        value=_mean(documents),
        ci_low=low,
        ci_high=high,
        seed_sd=_sd(list(per_seed.values())),
        per_seed=per_seed,
        n=len(known),
    )


def corpus_estimate(per_seed: Mapping[int, float | None], n: int) -> Estimate:
    """Estimate of a metric that is one number a seed; it has no interval over prompts."""
    values = list(per_seed.values())
    named = {str(seed): value for seed, value in per_seed.items()}
    return Estimate(_mean(values), None, None, _sd(values), named, n)


def pooled_estimate(
    sums: Mapping[int, np.ndarray], value: Callable[[np.ndarray], np.ndarray], n: int | None = None
) -> Estimate:
    """Estimate of a number that is a function of sums, such as a ratio.

    Args:
        sums: seed to what each prompt adds, shape (prompts, K); zeros for a prompt without.
        value: sums of shape (..., K) to numbers of shape (...), NaN where undefined.
        n: prompts behind the number; None counts those that add anything.
    """
    prompts = np.sum(list(sums.values()), axis=0)
    if n is None:
        n = int(np.any(prompts != 0, axis=1).sum())
    low, high = pooled_interval(prompts, value) if n > 1 else (np.nan, np.nan)
    per_seed = {str(seed): _finite(value(each.sum(axis=0))) for seed, each in sums.items()}
    whole = _finite(value(prompts.sum(axis=0)))
    return Estimate(whole, _finite(low), _finite(high), _sd(list(per_seed.values())), per_seed, n)


def pooled_interval(
    prompts: np.ndarray, value: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Percentile bootstrap intervals of functions of sums.

    Args:
        prompts: what each prompt adds, (n, K).
        value: sums of shape (R, K) to numbers of shape (R,) or (R, B).

    Returns:
        Lower and upper ends, shape () or (B,); NaN where some resamples are undefined, for the
        others alone would mislead.
    """
    values = np.concatenate([value(times @ prompts) for times in _resamples(len(prompts))])
    defined = np.isfinite(values).all(axis=0)
    tail = (1 - CONFIDENCE) / 2
    ends = np.quantile(np.where(defined, values, 0.0), [tail, 1 - tail], axis=0)
    low, high = np.where(defined, ends, np.nan)
    return low, high


def _resamples(n: int) -> Iterable[np.ndarray]:
    """How often each of n prompts is drawn, (R, n) each: sums of resamples are then products."""
    return _kept_resamples(n) if RESAMPLES * n <= _KEPT else _drawn_resamples(n)


@lru_cache(maxsize=4)
def _kept_resamples(n: int) -> tuple[np.ndarray, ...]:
    return tuple(_drawn_resamples(n))


def _drawn_resamples(n: int, seed: int = 0) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(seed)
    rows = max(1, _CHUNK // n)
    for start in range(0, RESAMPLES, rows):
        size = min(rows, RESAMPLES - start)
        yield rng.multinomial(n, np.full(n, 1 / n), size).astype(np.float64)


def _finite(value: np.ndarray | float) -> float | None:
    return float(value) if np.isfinite(value) else None


def document_means(scores: Mapping[int, Sequence[float | None]]) -> list[float | None]:
    """The mean over seeds, by document."""
    return [_mean(values) for values in zip(*scores.values(), strict=True)]


def bootstrap_interval(values: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """Percentile bootstrap interval of a mean.

    Args:
        values: one value a prompt, shape (n,).
        seed: of the resampling; fixed, so that equal scores give equal files.
    """
    rng = np.random.default_rng(seed)
    n = len(values)
    rows = max(1, _CHUNK // n)
    means = np.empty(RESAMPLES)
    for start in range(0, RESAMPLES, rows):
        size = min(rows, RESAMPLES - start)
        means[start : start + size] = values[rng.integers(0, n, (size, n))].mean(axis=1)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def average(parts: Sequence[Mapping[str, Any] | None]) -> Estimate | None:
    """The plain mean of several sets' means, as papers form AVG; None if a set is missing.

    The sets' prompts are independent, so half-widths add in quadrature; this agrees with a joint
    bootstrap (see the tests) and needs no scores.

    Args:
        parts: an estimate's fields for each set.
    """
    if not parts or any(part is None or part["value"] is None for part in parts):
        return None
    known = [part for part in parts if part is not None]
    value = float(np.mean([part["value"] for part in known]))
    low = high = None
    if all(part["ci_low"] is not None for part in known):
        below = [part["value"] - part["ci_low"] for part in known]
        above = [part["ci_high"] - part["value"] for part in known]
        low = value - float(np.linalg.norm(below)) / len(known)
        high = value + float(np.linalg.norm(above)) / len(known)
    seeds = list(known[0]["per_seed"])
    same = all(list(part["per_seed"]) == seeds for part in known)
    by_seed = {seed: [part["per_seed"][seed] for part in known] for seed in seeds if same}
    # A seed's average is never partial either.
    per_seed = {seed: None if None in each else _mean(each) for seed, each in by_seed.items()}
    n = sum(part["n"] for part in known)
    return Estimate(value, low, high, _sd(list(per_seed.values())), per_seed, n)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _sd(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.std(known, ddof=1)) if len(known) > 1 else None
