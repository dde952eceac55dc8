"""The fidelity part of a task's result: numbers with error bars, or why there are none."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from kdbench.fidelity.curves import excess_curve, mean_curve, survival_curve
from kdbench.fidelity.set_scores import SetScores
from kdbench.fidelity.texts import REFERENCE_SEED
from kdbench.fidelity.wanted import GAP, WantedMetrics
from kdbench.metrics import (
    CurveMetric,
    PooledTokenMetric,
    PositionMetric,
    PositionSet,
    TeacherMetric,
    TokenMetric,
)
from kdbench.stats.estimates import Estimate, document_means, estimate, pooled_estimate
from kdbench.store.results import MetricResult

ScoresBySeed = Mapping[int, Sequence[float | None]]  # in document order

_UNDEFINED = Estimate(None, None, None, None, {}, 0)
_INFINITE = "infinite: one of the two rules out a token that the other allows"


class Results:
    """Collects the fidelity part of a task's result.

    Attributes:
        metrics: Metrics by the result's name.
        documents: Means per document, by the result's name.
        curves: Curves by token index, by the result's name.
    """

    def __init__(self) -> None:
        self.metrics: dict[str, MetricResult] = {}
        self.documents: dict[str, list[float | None]] = {}
        self.curves: dict[str, dict[str, list[Any]]] = {}

    def add(self, name: str, metric: TeacherMetric, numbers: Estimate, **more: Any) -> None:
        """Add an estimate.

        Args:
            name: Name of the result.
            metric: The metric.
            numbers: The estimate; without a value, `more` or the metric gives the reason.
            more: Further fields of the result.
        """
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
        scores: ScoresBySeed,
        keep: bool = True,
        seeds: bool = True,
        **more: Any,
    ) -> None:
        """Add a mean over prompts.

        Args:
            name: Name of the result.
            metric: The metric.
            scores: Scores by seed, in document order.
            keep: Whether to store the means per document.
            seeds: Whether the keys of `scores` are seeds; references have none.
            more: Further fields of the result.
        """
        values = [score for column in scores.values() for score in column if score is not None]
        if any(map(math.isinf, values)):
            self.add(name, metric, _UNDEFINED, **{**more, "reason": _INFINITE, "micro": None})
            return
        numbers = estimate(scores, metric.unit)
        self.add(name, metric, numbers if seeds else _without_seeds(numbers), **more)
        if keep:
            self.documents[name] = document_means(scores)

    def add_survival(self, name: str, scores: ScoresBySeed) -> None:
        """Add the share of pairs whose score, a token index, is beyond each index."""
        known = [score for column in scores.values() for score in column if score is not None]
        if known:
            self.curves[name] = survival_curve(known)

    def add_nulls(self, names: Sequence[str], wanted: WantedMetrics, reason: str) -> None:
        """Add results without a number.

        Args:
            names: Names of the results.
            wanted: The metrics to measure.
            reason: Why there is no number.
        """
        by_name = {metric.name: metric for metric in wanted.metrics}
        for name in names:
            self.add(name, by_name[name.partition("@")[0]], _UNDEFINED, reason=reason)

    def add_set(
        self,
        scores: SetScores,
        metrics: Sequence[PositionMetric],
        top_k: int | None,
        has_rest: bool = False,
    ) -> None:
        """Add the token metrics of a position set.

        Args:
            scores: Scores of the position set.
            metrics: Metrics measured on it.
            top_k: Number of the teacher's tokens that are known; None if all are.
            has_rest: Whether the tokens that only one of the tokenizers has form one class.
        """
        for metric in metrics:
            name = f"{metric.name}@{scores.position_set}"
            bound = _bound(metric, top_k, has_rest)
            if bound.get("reason"):
                self.add(name, metric, _UNDEFINED, **bound)
            elif isinstance(metric, TokenMetric):
                self.add_scores(
                    name,
                    metric,
                    scores.means(metric),
                    seeds=scores.position_set != "ref",
                    micro=scores.micro(metric),
                    ceiling=metric.perfect,
                    **bound,
                )
                if metric.curve:
                    self.curves[name] = mean_curve(scores, metric.name)
            elif isinstance(metric, PooledTokenMetric):
                numbers = pooled_estimate(scores.sums(metric), metric.value, unit=metric.unit)
                if scores.position_set == "ref":
                    numbers = _without_seeds(numbers)
                self.add(name, metric, numbers, ceiling=metric.perfect, **bound)

    def add_gap(self, metric: TokenMetric, student: SetScores, ref: SetScores) -> None:
        """Add the on-policy gap: the metric on the student's responses minus on the reference."""
        on_reference = ref.means(metric)[REFERENCE_SEED]
        gaps = {
            seed: [_difference(*pair) for pair in zip(values, on_reference, strict=True)]
            for seed, values in student.means(metric).items()
        }
        self.add_scores(f"{metric.name}@{GAP}", metric, gaps, keep=False, ceiling=0.0)

    def add_curve_metric(
        self, metric: CurveMetric, sets: Mapping[PositionSet, SetScores], top_k: int | None
    ) -> None:
        """Add a number computed from two curves.

        Args:
            metric: The metric.
            sets: Scores by position set.
            top_k: Number of the teacher's tokens that are known; None if all are.
        """
        curves = [sets[position_set].curve(metric.curve) for position_set in metric.sets]
        if reason := _why_no_number(metric, curves, top_k):
            self.add(metric.name, metric, _UNDEFINED, reason=reason)
            return
        columns = np.concatenate(
            [column[:, : metric.length] for curve in curves for column in curve], axis=1
        )

        def value(sums: np.ndarray) -> np.ndarray:
            first, first_count, second, second_count = np.split(sums, 4, axis=-1)
            with np.errstate(invalid="ignore", divide="ignore"):
                return metric.value(first / first_count, second / second_count)

        numbers = pooled_estimate({REFERENCE_SEED: columns}, value)
        self.add(metric.name, metric, _without_seeds(numbers))
        first, second = (sets[position_set] for position_set in metric.sets)
        self.curves[metric.name] = excess_curve(metric.curve, first, second)


def _why_no_number(
    metric: CurveMetric, curves: Sequence[tuple[np.ndarray, np.ndarray]], top_k: int | None
) -> str | None:
    if top_k is not None and metric.from_top_k != "exact":  # two bounded curves bound nothing
        return f"a teacher's top {top_k} do not decide it"
    if not all(np.isfinite(sums).all() for sums, _ in curves):
        return _INFINITE
    if min(column.shape[1] for curve in curves for column in curve) < metric.length:
        return f"responses are limited to fewer than {metric.length} tokens"
    return None


def _difference(value: float | None, on_reference: float | None) -> float | None:
    if value is None or on_reference is None:
        return None
    return math.inf if math.isinf(value + on_reference) else value - on_reference


def _without_seeds(numbers: Estimate) -> Estimate:
    return replace(numbers, per_seed={}, seed_sd=None)


def _bound(metric: PositionMetric, top_k: int | None, has_rest: bool) -> dict[str, Any]:
    """Fields of the result that say what known classes of tokens leave of the metric."""
    if has_rest and metric.from_top_k in ("lower", "upper"):
        return {"bound": metric.from_top_k}
    if top_k is None or metric.from_top_k == "exact":
        return {}
    if metric.from_top_k == "undefined":
        return {"reason": f"a teacher's top {top_k} do not decide it"}
    return {"bound": metric.from_top_k}
