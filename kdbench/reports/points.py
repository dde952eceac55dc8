"""Results become the points of the pictures."""

from collections.abc import Iterator, Sequence
from typing import Any

from kdbench.reports.model import (
    Axis,
    BandPoint,
    Cells,
    CurvePoint,
    ExposurePoint,
    Number,
    Point,
    Student,
)
from kdbench.reports.select import Selection
from kdbench.stats.bootstrap import mean_interval
from kdbench.stats.estimates import average
from kdbench.store.results import MetricResult, TaskResult
from kdbench.text import AVERAGE

SETS = ("ref", "teacher", "student")
_CELLS = ("rr", "wws", "wr", "rw", "wwd")


def gain_points(chosen: Selection, score: Axis, fidelity: Axis) -> list[Point]:
    """Every student on every task, then its averages over all tasks."""
    points = [
        point
        for task in chosen.tasks
        for student in chosen.students
        if (point := _point(chosen, student, task, score, fidelity))
    ]
    if len(chosen.tasks) > 1:
        points += [
            point
            for student in chosen.students
            if (point := _average(student, [p for p in points if p.student is student], chosen))
        ]
    return points


def _point(
    chosen: Selection, student: Student, task: str, score: Axis, fidelity: Axis
) -> Point | None:
    own = chosen.of(student, task)
    if own is None:
        return None
    levels = _level(own, score.name), _level(own, fidelity.name)
    if levels[0] is None or levels[1] is None:
        return None
    baseline = chosen.baseline
    of_baseline = None if baseline is None else chosen.of(baseline, task)
    if of_baseline is None:
        return Point(task, student, levels[0], levels[1])
    gain = difference(own, of_baseline, score)
    change = difference(own, of_baseline, fidelity)
    return Point(task, student, levels[0], levels[1], gain, change)


def _level(result: TaskResult, name: str) -> Number | None:
    metric = result.metrics.get(name)
    return None if metric is None else _number(metric)


def _number(metric: MetricResult) -> Number | None:
    if metric.value is None:
        return None
    return Number(metric.value, metric.ci_low, metric.ci_high, metric.n)


def difference(own: TaskResult, of_baseline: TaskResult, axis: Axis) -> Number | None:
    """How much better a metric is than the baseline's, with a paired bootstrap over documents.

    Only documents that both have a number for count. A metric that has no number for each document
    has no interval.
    """
    import numpy as np

    pair = own.metrics.get(axis.name), of_baseline.metrics.get(axis.name)
    if pair[0] is None or pair[1] is None or None in (pair[0].value, pair[1].value):
        return None
    if pair[0].version != pair[1].version:
        return None
    columns = _by_document(own, axis.name), _by_document(of_baseline, axis.name)
    shared = [document for document in columns[0] if document in columns[1]]
    if not shared:
        of_values = axis.sign * (float(pair[0].value or 0) - float(pair[1].value or 0))
        return Number(of_values, n=min(pair[0].n, pair[1].n))
    better = axis.sign * np.array([columns[0][one] - columns[1][one] for one in shared])
    low, high = mean_interval(better) if len(shared) > 1 else (None, None)
    return Number(float(better.mean()), low, high, len(shared))


def _by_document(result: TaskResult, name: str) -> dict[str, float]:
    documents = result.documents
    pairs = zip(documents.get("id", []), documents.get(name, []), strict=False)
    return {str(document): value for document, value in pairs if value is not None}


def _average(student: Student, points: Sequence[Point], chosen: Selection) -> Point | None:
    """The plain mean over all tasks; None if one is missing, as in tables."""
    if len(points) < len(chosen.tasks):
        return None
    score, fidelity = _mean([p.score for p in points]), _mean([p.fidelity for p in points])
    if score is None or fidelity is None:
        return None
    gain, change = _mean([p.gain for p in points]), _mean([p.change for p in points])
    return Point(AVERAGE, student, score, fidelity, gain, change)


def _mean(numbers: Sequence[Number | None]) -> Number | None:
    parts: list[dict[str, Any] | None] = [
        None
        if one is None
        else {
            "value": one.value,
            "ci_low": one.low,
            "ci_high": one.high,
            "per_seed": {},
            "n": one.n,
        }
        for one in numbers
    ]
    mean = average(parts)
    if mean is None or mean.value is None:
        return None
    return Number(mean.value, mean.ci_low, mean.ci_high, mean.n)


def band_points(chosen: Selection) -> list[BandPoint]:
    """Where final answers are known to be right or wrong."""
    points = []
    for task, student, result in _each(chosen):
        accuracy = _level(result, "answer_accuracy")
        agreement = _level(result, "answer_agreement")
        of_teacher = _level(result, "teacher_accuracy")
        if accuracy and agreement and of_teacher:
            points.append(
                BandPoint(
                    task,
                    student,
                    accuracy,
                    agreement,
                    of_teacher.value,
                    result.metrics["answer_agreement"].ceiling,
                    _level(result, "error_agreement"),
                    _level(result, "error_kappa"),
                )
            )
    return points


def answer_cells(chosen: Selection) -> list[Cells]:
    """The five cells, where all are known."""
    found = []
    for task, student, result in _each(chosen):
        shares = [_level(result, f"answers_{name}") for name in _CELLS]
        known = [share.value for share in shares if share is not None]
        if len(known) == len(_CELLS):
            found.append(Cells(task, student, *known))
    return found


def curve_points(chosen: Selection, metric: str) -> list[CurvePoint]:
    """A metric by token index, on all three position sets."""
    return [
        CurvePoint(task, student, where, start, stop, value, low, high, n)
        for task, student, result in _each(chosen)
        for where in SETS
        if (curve := result.curves.get(f"{metric}@{where}"))
        for start, stop, value, low, high, n in zip(
            *(curve[key] for key in ("start", "stop", "value", "ci_low", "ci_high", "n")),
            strict=True,
        )
    ]


def exposure_points(chosen: Selection) -> list[ExposurePoint]:
    """The accumulated exposure error by length."""
    return [
        ExposurePoint(task, student, length, value, n)
        for task, student, result in _each(chosen)
        if (curve := result.curves.get("exposure_error"))
        for length, value, n in zip(curve["stop"], curve["value"], curve["n"], strict=True)
    ]


def _each(chosen: Selection) -> Iterator[tuple[str, Student, TaskResult]]:
    for task in chosen.tasks:
        for student in chosen.students:
            if (result := chosen.of(student, task)) is not None:
                yield task, student, result
