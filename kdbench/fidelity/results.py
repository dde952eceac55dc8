"""Scores become metrics of a task's result: named, with error bars, or with why there are none."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from kdbench.fidelity.buckets import bucket_starts
from kdbench.fidelity.texts import REFERENCE_SEED
from kdbench.fidelity.tokens import SetScores
from kdbench.fidelity.wanted import GAP, Wanted
from kdbench.metrics import (
    CurveMetric,
    PooledTokenMetric,
    PositionMetric,
    PositionSet,
    TeacherMetric,
    TokenMetric,
)
from kdbench.metrics.exposure_bias import excess
from kdbench.stats.bootstrap import pooled_interval
from kdbench.stats.estimates import Estimate, document_means, estimate, pooled_estimate
from kdbench.store.results import MetricResult

Scores = Mapping[int, Sequence[float | None]]
_UNDEFINED = Estimate(None, None, None, None, {}, 0)
_INFINITE = "infinite: one of the two rules out a token that the other allows"


class Results:
    """The fidelity part of a task's result in the making.

    Attributes:
        metrics: by name of the result.
        documents: per-document means.
        curves: by token index.
    """

    def __init__(self) -> None:
        self.metrics: dict[str, MetricResult] = {}
        self.documents: dict[str, list[float | None]] = {}
        self.curves: dict[str, dict[str, list[Any]]] = {}

    def add(self, name: str, metric: TeacherMetric, numbers: Estimate, **more: Any) -> None:
        """Add a number."""
        if numbers.value is None:
            more.setdefault("reason", metric.undefined)
        self.metrics[name] = MetricResult(
            **asdict(numbers),
            unit=metric.unit,
            direction=metric.direction,
            version=str(metric.version),
            **more,
        )

    def add_scores(
        self,
        name: str,
        metric: TeacherMetric,
        scores: Scores,
        keep: bool = True,
        seeds: bool = True,
        **more: Any,
    ) -> None:
        """Add a mean over prompts.

        Args:
            name: of the result.
            metric: what it is.
            scores: by seed, in document order.
            keep: keep the documents' means.
            seeds: whether these are seeds; references have none.
            more: fields of the result.
        """
        if any(
            value is not None and math.isinf(value) for each in scores.values() for value in each
        ):
            self.add(name, metric, _UNDEFINED, **{**more, "reason": _INFINITE, "micro": None})
            return
        numbers = estimate(scores)
        if not seeds:
            numbers = _without_seeds(numbers)
        self.add(name, metric, numbers, **more)
        if keep:
            self.documents[name] = document_means(scores)

    def add_survival(self, name: str, scores: Scores) -> None:
        """Add the share of pairs whose score, a token index, is beyond each index."""
        known = np.array([one for each in scores.values() for one in each if one is not None])
        if len(known):
            starts = bucket_starts(int(known.max()) + 1)
            shares = [float((known > start).mean()) for start in starts]
            self.curves[name] = {"start": starts, "value": shares, "n": [len(known)] * len(starts)}

    def add_nulls(self, names: Sequence[str], wanted: Wanted, reason: str) -> None:
        """Say why some results have no number."""
        by_name = {metric.name: metric for metric in wanted.metrics}
        for name in names:
            self.add(name, by_name[name.partition("@")[0]], _UNDEFINED, reason=reason)

    def add_set(
        self, scores: SetScores, metrics: Sequence[PositionMetric], top_k: int | None
    ) -> None:
        """Add the token metrics of a position set."""
        for metric in metrics:
            name = f"{metric.name}@{scores.where}"
            bound = _bound(metric, top_k)
            if bound.get("reason"):
                self.add(name, metric, _UNDEFINED, **bound)
            elif isinstance(metric, TokenMetric):
                micro = scores.micro(metric)
                self.add_scores(
                    name,
                    metric,
                    scores.means(metric),
                    seeds=scores.where != "ref",
                    micro=micro,
                    ceiling=metric.perfect,
                    **bound,
                )
                if metric.curve:
                    self.curves[name] = _curve(scores, *scores.curve(metric.name))
            elif isinstance(metric, PooledTokenMetric):
                numbers = pooled_estimate(scores.sums(metric), metric.value)
                if scores.where == "ref":
                    numbers = _without_seeds(numbers)
                self.add(name, metric, numbers, ceiling=metric.perfect, **bound)

    def add_gap(self, metric: TokenMetric, student: SetScores, ref: SetScores) -> None:
        """Add how much the metric changes from the reference to the student's own responses."""
        on_reference = ref.means(metric)[REFERENCE_SEED]
        gaps = {
            seed: [
                None if a is None or b is None else math.inf if math.isinf(a + b) else a - b
                for a, b in zip(values, on_reference, strict=True)
            ]
            for seed, values in student.means(metric).items()
        }
        self.add_scores(f"{metric.name}@{GAP}", metric, gaps, keep=False, ceiling=0.0)

    def add_curve_metric(
        self, metric: CurveMetric, sets: Mapping[PositionSet, SetScores], top_k: int | None
    ) -> None:
        """Add a number made of two curves."""
        # Two bounded curves bound nothing.
        if top_k is not None and metric.from_top_k != "exact":
            reason = f"a teacher's top {top_k} do not decide it"
            self.add(metric.name, metric, _UNDEFINED, reason=reason)
            return
        pair = [sets[one].curve(metric.curve) for one in metric.sets]
        if not all(np.isfinite(sums).all() for sums, _ in pair):
            self.add(metric.name, metric, _UNDEFINED, reason=_INFINITE)
            return
        length = metric.length
        columns = np.concatenate([part[:, :length] for two in pair for part in two], axis=1)

        def value(sums: np.ndarray) -> np.ndarray:
            first, its_count, second, other_count = np.split(sums, 4, axis=-1)
            with np.errstate(invalid="ignore", divide="ignore"):
                return metric.value(first / its_count, second / other_count)

        if min(part.shape[1] for two in pair for part in two) < length:
            reason = f"responses are limited to fewer than {length} tokens"
            self.add(metric.name, metric, _UNDEFINED, reason=reason)
            return
        numbers = pooled_estimate({REFERENCE_SEED: columns}, value)
        self.add(metric.name, metric, _without_seeds(numbers))
        self.curves[metric.name] = _excess_curve(metric.curve, *(sets[one] for one in metric.sets))


def _without_seeds(numbers: Estimate) -> Estimate:
    return replace(numbers, per_seed={}, seed_sd=None)


def _bound(metric: PositionMetric, top_k: int | None) -> dict[str, Any]:
    if top_k is None or metric.from_top_k == "exact":
        return {}
    if metric.from_top_k == "undefined":
        return {"reason": f"a teacher's top {top_k} do not decide it"}
    return {"bound": metric.from_top_k}


def _curve(scores: SetScores, sums: np.ndarray, counts: np.ndarray) -> dict[str, list[Any]]:
    """Mean by token index over the responses that reach it."""
    starts = bucket_starts(scores.limit)
    reached = counts.sum(axis=0) > 0
    last = int(reached.sum())
    with np.errstate(invalid="ignore"):
        means = (sums.sum(axis=0) / np.maximum(counts.sum(axis=0), 1))[:last]
    low, high = _mean_intervals(sums[:, :last], counts[:, :last])
    return {
        "start": starts[:last],
        "stop": [*starts[1:], scores.limit][:last],
        "value": means.tolist(),
        "ci_low": low,
        "ci_high": high,
        "n": _alive(scores, starts)[:last],
    }


def _mean_intervals(
    sums: np.ndarray, counts: np.ndarray
) -> tuple[list[float | None], list[float | None]]:
    """Ends of the intervals of several means over the positions of prompts, each (n, B)."""
    buckets = sums.shape[1]
    if len(sums) < 2 or not np.isfinite(sums).all():
        return [None] * buckets, [None] * buckets

    def means(both: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio: np.ndarray = both[..., :buckets] / both[..., buckets:]
        return ratio

    low, high = pooled_interval(np.concatenate([sums, counts], axis=1), means)
    return low.tolist(), high.tolist()


def _alive(scores: SetScores, starts: Sequence[int]) -> list[int]:
    lengths = np.array([line["n"] for line in scores.lines.values()])
    return [int((lengths > start).sum()) for start in starts]


def _excess_curve(name: str, student: SetScores, teacher: SetScores) -> dict[str, list[Any]]:
    """ExAccErr for every l at the end of a bucket that both reach.

    Beyond the first 16 indices a bucket's width stands for its positions' sum.
    """
    edges = np.array([*bucket_starts(student.limit), student.limit])
    totals, shared = [], len(edges) - 1
    for scores in (student, teacher):
        sums, counts = (part.sum(axis=0) for part in scores.curve(name))
        shared = min(shared, int((counts > 0).sum()))
        totals.append(np.cumsum(np.diff(edges) * sums / np.maximum(counts, 1)))
    alive = [_alive(one, edges[:-1].tolist()) for one in (student, teacher)]
    return {
        "stop": edges[1 : shared + 1].tolist(),
        "value": excess(totals[0][:shared], totals[1][:shared]).tolist(),
        "n": [min(pair) for pair in zip(*alive, strict=True)][:shared],
    }
