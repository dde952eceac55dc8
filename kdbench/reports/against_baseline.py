"""Score and fidelity of every student, and how both differ from the baseline's."""

from collections.abc import Sequence
from typing import Any

from kdbench.reports.levels import level
from kdbench.reports.model import Axis, Number, Point, StudentRow
from kdbench.reports.select import Selection
from kdbench.stats.estimates import average, mean_estimate
from kdbench.store.results import TaskResult
from kdbench.text import AVERAGE


def gain_points(selection: Selection, score: Axis, fidelity: Axis) -> list[Point]:
    """A point for every student on every task, then one for its average over all tasks."""
    points = [
        point
        for task in selection.tasks
        for student in selection.students
        if (point := _point(selection, student, task, score, fidelity))
    ]
    if len(selection.tasks) > 1:
        averages = (
            _average([point for point in points if point.student is student], selection)
            for student in selection.students
        )
        points += [point for point in averages if point]
    return points


def _point(
    selection: Selection, student: StudentRow, task: str, score: Axis, fidelity: Axis
) -> Point | None:
    result = selection.result(student, task)
    if result is None:
        return None
    score_level, fidelity_level = level(result, score.name), level(result, fidelity.name)
    if score_level is None or fidelity_level is None:
        return None
    baseline = selection.baseline
    baseline_result = None if baseline is None else selection.result(baseline, task)
    if baseline_result is None:
        return Point(task, student, score_level, fidelity_level)
    gain = difference(result, baseline_result, score)
    change = difference(result, baseline_result, fidelity)
    return Point(task, student, score_level, fidelity_level, gain, change)


def difference(result: TaskResult, baseline: TaskResult, axis: Axis) -> Number | None:
    """How much better a metric is than the baseline's, paired by document, with its interval.

    Only documents that have a number in both results count. A metric that has no number per
    document gets no interval.

    Args:
        result: Result of the student.
        baseline: Result of the baseline on the same task.
        axis: The metric.
    """
    import numpy as np

    metric, baseline_metric = result.metrics.get(axis.name), baseline.metrics.get(axis.name)
    if metric is None or baseline_metric is None:
        return None
    if metric.value is None or baseline_metric.value is None:
        return None
    if metric.version != baseline_metric.version:
        return None
    values, baseline_values = _by_document(result, axis.name), _by_document(baseline, axis.name)
    shared = [document for document in values if document in baseline_values]
    if not shared:
        of_means = axis.sign * (metric.value - baseline_metric.value)
        return Number(of_means, n=min(metric.n, baseline_metric.n))
    better = axis.sign * np.array([values[name] - baseline_values[name] for name in shared])
    return Number.of(mean_estimate(better.tolist()))


def _by_document(result: TaskResult, name: str) -> dict[str, float]:
    documents = result.documents
    pairs = zip(documents.get("id", []), documents.get(name, []), strict=False)
    return {str(document): value for document, value in pairs if value is not None}


def _average(points: Sequence[Point], selection: Selection) -> Point | None:
    """The plain mean of a student's points; None if a task is missing, as in tables."""
    if len(points) < len(selection.tasks):
        return None
    score = _mean([point.score for point in points])
    fidelity = _mean([point.fidelity for point in points])
    if score is None or fidelity is None:
        return None
    gain = _mean([point.gain for point in points])
    change = _mean([point.change for point in points])
    return Point(AVERAGE, points[0].student, score, fidelity, gain, change)


def _mean(numbers: Sequence[Number | None]) -> Number | None:
    estimates: list[dict[str, Any] | None] = [
        None
        if number is None
        else {
            "value": number.value,
            "ci_low": number.low,
            "ci_high": number.high,
            "per_seed": {},
            "n": number.n,
            "standard_error": number.standard_error,
            "skewness": number.skewness,
        }
        for number in numbers
    ]
    mean = average(estimates)
    if mean is None or mean.value is None:
        return None
    return Number.of(mean)
