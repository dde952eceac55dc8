"""The result of one task, as `<task>.json` holds it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isclose
from typing import Any

from kdbench.stats.estimates import Estimate, mean_estimate
from kdbench.store.result_schema import CATEGORY
from kdbench.store.schema import is_number
from kdbench.system.files import SCHEMA

_ROUNDED = 2e-6  # numbers are stored with six decimals, those of documents and their mean alike


@dataclass(frozen=True)
class MetricResult(Estimate):
    """One metric of one task: an estimate with its unit, or the reason why it is missing.

    Attributes:
        unit: Unit of the numbers.
        direction: Which is better: `higher`, `lower` or `none`.
        version: Version of the metric.
        reason: Why there is no number.
        micro: For token metrics, the mean over all tokens; `value` is the mean over prompts.
        bound: `lower` or `upper` if the value is a bound of the true value.
        ceiling: Value that the teacher reaches against itself.
        floor: Value that the undistilled student reaches.
    """

    unit: str
    direction: str
    version: str
    reason: str | None = None
    micro: float | None = None
    bound: str | None = None
    ceiling: float | None = None
    floor: float | None = None

    @property
    def attained(self) -> float | None:
        """The share of the gap between floor and ceiling that the value closes.

        None if floor or ceiling is unknown, or if the gap is no wider than the value's confidence
        interval: the share would be noise.
        """
        if self.value is None or self.floor is None or self.ceiling is None:
            return None
        gap = self.ceiling - self.floor
        width = 0.0 if self.ci_low is None or self.ci_high is None else self.ci_high - self.ci_low
        return (self.value - self.floor) / gap if abs(gap) > width else None


def with_error(metric: MetricResult, column: Sequence[float | None] | None) -> MetricResult:
    """Return a metric with a standard error, and the interval that belongs to it.

    Results of before 2026-11-28 have none, and percentile bootstrap intervals. Both follow from the
    numbers of the documents, if the metric is their mean.

    Args:
        metric: The metric.
        column: Its number for each document; None if it has none.
    """
    if column is None or metric.standard_error is not None or metric.ci_low is None:
        return metric
    if any(value is not None and not is_number(value) for value in column):
        return metric
    numbers = mean_estimate(column, metric.unit)
    if numbers.value is None or metric.value is None or numbers.n != metric.n:
        return metric
    if not isclose(numbers.value, metric.value, abs_tol=_ROUNDED):
        return metric
    errors = ("ci_low", "ci_high", "standard_error", "skewness")
    return replace(metric, **{name: getattr(numbers, name) for name in errors})


@dataclass(frozen=True)
class TaskResult:
    """`<task>.json`.

    Attributes:
        fingerprint: What must be equal for two runs to compare.
        metrics: Metrics by name.
        documents: `id`, the per-document means of each metric, in document order, and `category` if
            the data have categories.
        data: `rows`, `used`, `sha256` and `published` of the task's data.
        cut_prompts: Number of prompts that the protocol's limit cut; None if unknown.
        main_metric: Name of the metric that tables show.
        teacher: Identity of the teacher that metrics of fidelity compare with.
        curves: Metrics by token index, named `name@set`: for each bucket its first index, the first
            index after it, the mean over the responses that reach it, and their number.
        judge: By way of judging (`score`, or `pair@` and the opponent's name): the judge, its
            prompt, what was judged, and `metrics`, the names of its metrics.
    """

    fingerprint: Mapping[str, Any]
    metrics: Mapping[str, MetricResult]
    documents: Mapping[str, Sequence[Any]] = field(repr=False)
    data: Mapping[str, Any]
    cut_prompts: int | None
    main_metric: str
    teacher: Mapping[str, Any] | None = None
    curves: Mapping[str, Mapping[str, list[Any]]] = field(default_factory=dict, repr=False)
    judge: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    schema: int = SCHEMA

    @property
    def categories(self) -> Sequence[str | None] | None:
        """The category of each document; None if the task has no categories."""
        return self.documents.get(CATEGORY)

    @property
    def task(self) -> str:
        """The task's name."""
        return str(self.fingerprint["task"])
