"""The fields of `<task>.json`."""

from collections.abc import Mapping
from typing import Any

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

CATEGORY = "category"
"""Column of the documents' categories."""

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
_IDS = each(TEXT, "ids")
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


def check_task(content: dict[str, Any], task: str) -> None:
    """Check the content of `<task>.json`, apart from each of its metrics and columns.

    Raises:
        FieldError: A field is missing, of the wrong type, or contradicts another.
    """
    check_fields(content, _FIELDS)
    own_name = Rule(f"'{task}', as the file is named", lambda value: value == task)
    check_fields(content["fingerprint"], {"task": own_name, **_FINGERPRINT}, "fingerprint")
    check_fields(content["fingerprint"].get("protocol", {}), _PROTOCOL, "fingerprint.protocol")
    check_fields(content["data"], _DATA, "data")
    check_fields(content.get("teacher") or {}, _TEACHER, "teacher")
    if content["metrics"] and content["main_metric"] not in content["metrics"]:
        raise FieldError("main_metric: must be one of the metrics")
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


def check_metric(metric: Any, place: str) -> None:
    """Check a metric.

    Args:
        metric: Its content.
        place: Where it is in the file, with dots.

    Raises:
        FieldError: A field is missing, of the wrong type, or contradicts another.
    """
    check_fields(metric, _METRIC, place)
    low, high = metric["ci_low"], metric["ci_high"]
    if (low is None) != (high is None) or (low is not None and low > high):
        raise FieldError(f"{place}.ci_low: must be at most ci_high, or both be null")


def check_documents(documents: Mapping[str, Any]) -> None:
    """Check the ids and every column of the documents.

    Raises:
        FieldError: An id comes twice, or a column is no list of as many numbers.
    """
    check_fields(documents, {"id": _IDS}, "documents")
    check_ids(documents["id"])
    for name, column in documents.items():
        if name != "id":
            check_document_column(name, column, len(documents["id"]))


def check_ids(ids: Any) -> None:
    """Check the ids of the documents.

    Raises:
        FieldError: They are no texts, or one comes twice.
    """
    check_fields({"id": ids}, {"id": _IDS}, "documents")
    if len(set(ids)) != len(ids):
        raise FieldError("documents.id: must hold different ids")


def check_document_column(name: str, column: Any, length: int) -> None:
    """Check a column of the documents that is not the one of ids.

    Args:
        name: Its name.
        column: Its content.
        length: Number of documents.

    Raises:
        FieldError: It is no list of as many numbers, or categories.
    """
    if name == CATEGORY:
        _check_categories(column, length)
    else:
        check_column(column, length, f"documents.{name}")


def _check_categories(column: Any, length: int) -> None:
    texts = Rule("a list of texts or null", each(TEXT.or_null(), "").holds)
    check_fields({CATEGORY: column}, {CATEGORY: texts}, "documents")
    if len(column) != length:
        raise FieldError(f"documents.{CATEGORY}: must be a list of {length}, as its neighbours are")
