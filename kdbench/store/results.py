"""`<task>.json`: the result of one task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isclose
from pathlib import Path
from typing import Any

from kdbench.errors import InputError
from kdbench.stats.estimates import Estimate, mean_estimate
from kdbench.store.schema import (
    BOOL,
    COUNT,
    MAPPING,
    NAME,
    NUMBER,
    POSITIVE,
    SEED,
    TEXT,
    FieldError,
    Rule,
    check_column,
    check_fields,
    each,
    is_number,
    one_of,
)
from kdbench.system.files import SCHEMA, read_json

CATEGORY = "category"
"""Column of the documents' categories."""
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
    documents: Mapping[str, list[Any]] = field(repr=False)
    data: Mapping[str, Any]
    cut_prompts: int | None
    main_metric: str
    teacher: Mapping[str, Any] | None = None
    curves: Mapping[str, Mapping[str, list[Any]]] = field(default_factory=dict, repr=False)
    judge: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    schema: int = SCHEMA

    @property
    def categories(self) -> list[str | None] | None:
        """The category of each document; None if the task has no categories."""
        column: list[str | None] | None = self.documents.get(CATEGORY)
        return column

    @property
    def task(self) -> str:
        """The task's name."""
        return str(self.fingerprint["task"])


def read_task(path: Path) -> TaskResult:
    """Read a task's result.

    Raises:
        InputError: The file is not a result, or has a different schema.
    """
    content = read_json(path)
    try:
        _check(content, path.stem)
        columns = content["documents"]
        metrics = {
            name: with_error(MetricResult(**metric), columns.get(name))
            for name, metric in content.pop("metrics").items()
        }
        return TaskResult(metrics=metrics, **content)
    except (FieldError, TypeError) as error:
        raise InputError(f"{path}: not a result of kdbench: {error}") from None


_FIELDS = {
    "fingerprint": MAPPING,
    "metrics": MAPPING,
    "documents": MAPPING,
    "data": MAPPING,
    "cut_prompts": COUNT.or_null(),
    "main_metric": TEXT,
    "teacher": MAPPING.or_null().if_given(),
    "curves": MAPPING.if_given(),
    "judge": MAPPING.if_given(),
}
_FINGERPRINT = {
    "protocol": MAPPING.if_given(),
    "task_version": TEXT.if_given(),
    "data_sha256": TEXT.or_null().if_given(),
    "prompts_sha256": TEXT.or_null().if_given(),
    "definition_sha256": TEXT.or_null().if_given(),
}
_PROTOCOL = {"name": NAME.if_given(), "seeds": each(SEED, "whole numbers").if_given()}
_DATA = {"used": COUNT.if_given(), "rows": COUNT.if_given(), "published": BOOL.or_null().if_given()}
_TEACHER = {
    "name": NAME.if_given(),
    "sha256": TEXT.or_null().if_given(),
    "undistilled": MAPPING.or_null().if_given(),
}
_OPTIONAL_NUMBER = NUMBER.or_null().if_given()
_METRIC = {
    "value": NUMBER.or_null(),
    "ci_low": NUMBER.or_null(),
    "ci_high": NUMBER.or_null(),
    "seed_sd": POSITIVE.or_null(),
    "per_seed": Rule(
        "a mapping of numbers",
        lambda v: isinstance(v, dict) and all(n is None or is_number(n) for n in v.values()),
    ),
    "n": COUNT,
    "unit": TEXT,
    "direction": one_of("higher", "lower", "none"),
    "version": TEXT,
    "reason": TEXT.or_null().if_given(),
    "bound": one_of("lower", "upper").or_null().if_given(),
    "standard_error": POSITIVE.or_null().if_given(),
    "skewness": _OPTIONAL_NUMBER,
    "micro": _OPTIONAL_NUMBER,
    "ceiling": _OPTIONAL_NUMBER,
    "floor": _OPTIONAL_NUMBER,
}


def _check(content: dict[str, Any], task: str) -> None:
    """Check the content of `<task>.json`.

    Raises:
        FieldError: A field is missing, of the wrong type, or contradicts another.
    """
    check_fields(content, _FIELDS)
    own_name = Rule(f"'{task}', as the file is named", lambda value: value == task)
    check_fields(content["fingerprint"], {"task": own_name, **_FINGERPRINT}, "fingerprint")
    check_fields(content["fingerprint"].get("protocol", {}), _PROTOCOL, "fingerprint.protocol")
    check_fields(content["data"], _DATA, "data")
    check_fields(content.get("teacher") or {}, _TEACHER, "teacher")
    for name, metric in content["metrics"].items():
        _check_metric(metric, f"metrics.{name}")
    if content["metrics"] and content["main_metric"] not in content["metrics"]:
        raise FieldError("main_metric: must be one of the metrics")
    _check_documents(content["documents"])
    for name, group in (content.get("judge") or {}).items():
        check_fields(
            group, {"metrics": each(TEXT, "names"), "judge": MAPPING.if_given()}, f"judge.{name}"
        )
    for name, curve in (content.get("curves") or {}).items():
        _check_curve(name, curve)


def _check_curve(name: str, curve: Any) -> None:
    """Check a curve; one of a token metric, `name@set`, has intervals and both ends of buckets."""
    place, whole = f"curves.{name}", "@" in name
    indices = each(COUNT, "token indices")
    values = Rule("a list", lambda value: isinstance(value, list))
    rules = {"start": indices, "stop": indices, "ci_low": values, "ci_high": values}
    rules = {key: rule if whole else rule.if_given() for key, rule in rules.items()}
    check_fields(curve, {"value": values, "n": each(COUNT, "counts"), **rules}, place)
    for key, column in curve.items():
        check_column(column, len(curve["value"]), f"{place}.{key}")


def _check_metric(metric: Any, place: str) -> None:
    check_fields(metric, _METRIC, place)
    low, high = metric["ci_low"], metric["ci_high"]
    if (low is None) != (high is None) or (low is not None and low > high):
        raise FieldError(f"{place}.ci_low: must be at most ci_high, or both be null")


def _check_documents(documents: Mapping[str, Any]) -> None:
    check_fields(documents, {"id": each(TEXT, "ids")}, "documents")
    ids = documents["id"]
    if len(set(ids)) != len(ids):
        raise FieldError("documents.id: must hold different ids")
    for name, column in documents.items():
        if name == CATEGORY:
            _check_categories(column, len(ids))
        elif name != "id":
            check_column(column, len(ids), f"documents.{name}")


def _check_categories(column: Any, length: int) -> None:
    texts = Rule("a list of texts or null", each(TEXT.or_null(), "").holds)
    check_fields({CATEGORY: column}, {CATEGORY: texts}, "documents")
    if len(column) != length:
        raise FieldError(f"documents.{CATEGORY}: must be a list of {length}, as its neighbours are")
