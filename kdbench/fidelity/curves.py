"""Token metrics by token index."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from kdbench.fidelity.buckets import bucket_starts
from kdbench.fidelity.set_scores import SetScores
from kdbench.metrics.exposure_bias import excess
from kdbench.stats.bootstrap import pooled_interval


def mean_curve(scores: SetScores, name: str) -> dict[str, list[Any]]:
    """Mean of a token metric by token index, over the responses that reach it.

    Args:
        scores: Scores of a position set.
        name: Name of the metric.
    """
    sums, counts = scores.curve(name)
    starts = bucket_starts(scores.limit)
    reached = int((counts.sum(axis=0) > 0).sum())
    with np.errstate(invalid="ignore"):
        means = (sums.sum(axis=0) / np.maximum(counts.sum(axis=0), 1))[:reached]
    low, high = _intervals(sums[:, :reached], counts[:, :reached])
    return {
        "start": starts[:reached],
        "stop": [*starts[1:], scores.limit][:reached],
        "value": means.tolist(),
        "ci_low": low,
        "ci_high": high,
        "n": scores.reaching(starts)[:reached],
    }


def excess_curve(name: str, student: SetScores, teacher: SetScores) -> dict[str, list[Any]]:
    """ExAccErr for each length l that ends a bucket and that both position sets reach.

    Beyond the first 16 indices, a bucket's mean times its width replaces the sum over its indices.

    Args:
        name: Name of the token metric.
        student: Scores on the student's responses.
        teacher: Scores on the teacher's responses.
    """
    edges = np.array([*bucket_starts(student.limit), student.limit])
    totals, shared = [], len(edges) - 1
    for scores in (student, teacher):
        sums, counts = (column.sum(axis=0) for column in scores.curve(name))
        shared = min(shared, int((counts > 0).sum()))
        totals.append(np.cumsum(np.diff(edges) * sums / np.maximum(counts, 1)))
    reaching = [scores.reaching(edges[:-1].tolist()) for scores in (student, teacher)]
    return {
        "stop": edges[1 : shared + 1].tolist(),
        "value": excess(totals[0][:shared], totals[1][:shared]).tolist(),
        "n": [min(pair) for pair in zip(*reaching, strict=True)][:shared],
    }


def survival_curve(lengths: Sequence[float]) -> dict[str, list[Any]]:
    """Share of token indices that are beyond each index.

    Args:
        lengths: Token indices, such as that of each pair's first difference; one or more.
    """
    known = np.array(lengths)
    starts = bucket_starts(int(known.max()) + 1)
    shares = [float((known > start).mean()) for start in starts]
    return {"start": starts, "value": shares, "n": [len(known)] * len(starts)}


def _intervals(
    sums: np.ndarray, counts: np.ndarray
) -> tuple[list[float | None], list[float | None]]:
    """Intervals of the means by bucket, from sums and counts, (documents, buckets) each."""
    buckets = sums.shape[1]
    if len(sums) < 2 or not np.isfinite(sums).all():
        return [None] * buckets, [None] * buckets

    def means(both: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio: np.ndarray = both[..., :buckets] / both[..., buckets:]
        return ratio

    low, high = pooled_interval(np.concatenate([sums, counts], axis=1), means)
    return low.tolist(), high.tolist()
