"""What a report does not show, and why, as lines of text."""

from collections.abc import Iterator

from kdbench.reports.model import Findings
from kdbench.reports.select import Selection


def reasons(findings: Findings, selection: Selection) -> Iterator[str]:
    """Lines on the runs, points and pictures that a report does not show.

    Args:
        findings: Numbers of the report.
        selection: Runs of the report.
    """
    yield from selection.left_out
    yield from _missing_points(findings, selection)
    yield from _bounds(findings, selection)
    if findings.baseline is None:
        yield "gain: needs baseline=, the student that learned without a teacher"
    elif not findings.has_gains:
        yield "gain: no other run shares the score, the fidelity and a task with the baseline"
    if not findings.band:
        yield "band: no task with closed answers was scored"
    if not findings.cells:
        yield "cells: no task with closed answers was scored"
    if not findings.curves:
        yield "by_token: no metric was stored by token"
    if not findings.has_exposure:
        yield "exposure: no exposure error was measured"


def _missing_points(findings: Findings, selection: Selection) -> Iterator[str]:
    """Students that lack a number on a task, and therefore an average."""
    known = {(point.task, point.student.run) for point in findings.points}
    for student in selection.students:
        tasks = [task for task in selection.tasks if (task, student.run) not in known]
        if tasks:
            metrics = f"{findings.score.name} or {findings.fidelity.name}"
            average = ", so it has no average" if len(selection.tasks) > 1 else ""
            yield f"{student.label}: lacks {metrics} on {', '.join(tasks)}{average}"
    answered = {point.task for point in findings.band}
    if missing := [t for t in selection.tasks if t in answered - {task for task, _ in known}]:
        yield (
            f"{', '.join(missing)}: for final answers, pass tasks={','.join(sorted(answered))} "
            "score=answer_accuracy fidelity=answer_agreement"
        )


def _bounds(findings: Findings, selection: Selection) -> Iterator[str]:
    """Students whose fidelity is only a bound of the true value."""
    name = findings.fidelity.name
    for student in selection.students:
        metrics = [result.metrics.get(name) for result in selection.results[student.run].values()]
        if any(metric is not None and metric.bound for metric in metrics):
            yield f"{student.label}: {name} is only a bound, so its change is not exact"
