"""Results of a selection, one at a time, and their metrics as numbers of a report."""

from collections.abc import Iterator

from kdbench.reports.model import Number, StudentRow
from kdbench.reports.select import Selection
from kdbench.store.results import TaskResult


def results_of(selection: Selection) -> Iterator[tuple[str, StudentRow, TaskResult]]:
    """Every task, student and result of a selection, by task."""
    for task in selection.tasks:
        for student in selection.students:
            if (result := selection.result(student, task)) is not None:
                yield task, student, result


def level(result: TaskResult, name: str) -> Number | None:
    """A metric of a result, None if it has no number."""
    metric = result.metrics.get(name)
    if metric is None or metric.value is None:
        return None
    return Number.of(metric)
