"""Results of runs become the numbers of a report."""

from collections.abc import Sequence

from kdbench.config import ReportSettings
from kdbench.errors import InputError, nearest
from kdbench.metrics import result_name
from kdbench.reports.correlations import correlations
from kdbench.reports.model import Axis, Correlation, Findings
from kdbench.reports.points import (
    answer_cells,
    band_points,
    curve_points,
    exposure_points,
    gain_points,
)
from kdbench.reports.select import Selection, select
from kdbench.store.results import MetricResult
from kdbench.text import AVERAGE

_DEFAULT_CURVE = "acceptance"


def find(settings: ReportSettings) -> Findings:
    """All numbers of the report.

    Raises:
        InputError: unreadable results, nothing that was measured beside a teacher, or an unknown
            baseline, task or metric.
    """
    chosen = select(settings)
    metrics = _metrics(chosen)
    score = _axis("score", settings.score, metrics)
    fidelity = _axis("fidelity", settings.fidelity, metrics)
    points = gain_points(chosen, score, fidelity)
    curve = _curve(chosen, fidelity.name.partition("@")[0])
    unit = next((m.unit for name, m in metrics.items() if name.partition("@")[0] == curve), "")
    with_baseline = chosen.baseline is not None
    correlated = correlations(points, score, fidelity, with_baseline)
    found = Findings(
        score=score,
        fidelity=fidelity,
        curve=curve,
        curve_unit=unit,
        teacher=chosen.teacher,
        students=chosen.students,
        tasks=chosen.tasks,
        points=tuple(points),
        band=tuple(band_points(chosen)),
        cells=tuple(answer_cells(chosen)),
        curves=tuple(curve_points(chosen, curve) if curve else ()),
        exposure=tuple(exposure_points(chosen)),
        correlations=tuple(correlated),
        left_out=(),
    )
    return _with_reasons(found, chosen)


def _metrics(chosen: Selection) -> dict[str, MetricResult]:
    """One result of each name; those with a number go first."""
    known: dict[str, MetricResult] = {}
    for results in chosen.results.values():
        for result in results.values():
            for name, metric in result.metrics.items():
                if name not in known or known[name].value is None:
                    known[name] = metric
    return known


def _axis(key: str, word: str, known: dict[str, MetricResult]) -> Axis:
    name = result_name(word, known)
    if name is None or name not in known:
        raise InputError(f"{key}={word}: no such result of these runs: {nearest(word, known)}")
    metric = known[name]
    if metric.value is None:
        raise InputError(f"{key}={word}: no run has a number: {metric.reason or 'not defined'}")
    if metric.direction == "none":
        raise InputError(f"{key}={word}: has no better direction; give another metric")
    return Axis(name, metric.unit, metric.direction)


def _curve(chosen: Selection, base: str) -> str | None:
    """The metric of the pictures by token: that of fidelity, if it has curves."""
    names = {
        name.partition("@")[0]
        for results in chosen.results.values()
        for result in results.values()
        for name in result.curves
        if "@" in name
    }
    return next((name for name in (base, _DEFAULT_CURVE) if name in names), None)


def _with_reasons(found: Findings, chosen: Selection) -> Findings:
    from dataclasses import replace

    said = [*chosen.left_out, *_points_left_out(found, chosen), *_bounded(found, chosen)]
    if found.baseline is None:
        said.append("gain: needs baseline=, the model that learned without a teacher")
    elif not any(one.gain and one.change and not one.student.baseline for one in found.points):
        said.append("gain: no other run has the score, the fidelity and a task of the baseline's")
    if not found.band:
        said.append("band: no task's answers are known to be right or wrong")
    if not found.cells:
        said.append("cells: no task's answers are known to be right or wrong")
    if not found.curves:
        said.append("by_token: no metric was kept by token index")
    if not any(one.value is not None for one in found.exposure):
        said.append("exposure: no exposure error was measured")
    return replace(found, left_out=tuple(said))


def _points_left_out(found: Findings, chosen: Selection) -> list[str]:
    """Students that lack a number on a task; their averages are missing too."""
    known = {(one.task, one.student.run) for one in found.points}
    said = []
    for student in chosen.students:
        lacking = [task for task in chosen.tasks if (task, student.run) not in known]
        if lacking:
            what = f"{found.score.name} and {found.fidelity.name} not both known"
            average = ", so no average" if len(chosen.tasks) > 1 else ""
            said.append(f"{student.label}: {what} on {', '.join(lacking)}{average}")
    return said


def _bounded(found: Findings, chosen: Selection) -> list[str]:
    """Students whose fidelity is only a bound."""
    name = found.fidelity.name
    return [
        f"{student.label}: {name} is a bound, so its change is not exact"
        for student in chosen.students
        if any(
            (m := one.metrics.get(name)) and m.bound for one in chosen.results[student.run].values()
        )
    ]


def said(correlation: Correlation) -> str:
    """A correlation as a line of text."""
    where = correlation.task or "all tasks"
    size = f"n = {correlation.n}, {correlation.runs} runs"
    if correlation.rho is None:
        return f"{correlation.of}, {where}: none ({size}; {correlation.reason})"
    text = f"{correlation.of}, {where}: rho = {correlation.rho:.2f}"
    if correlation.low is not None and correlation.high is not None:
        return f"{text} [{correlation.low:.2f}, {correlation.high:.2f}] ({size})"
    return f"{text} ({size}; {correlation.reason})"


def counted(found: Findings) -> Sequence[tuple[str, int]]:
    """How many students stand in each quadrant, over tasks; averages do not count."""
    own = [p for p in found.points if p.task != AVERAGE and not p.student.baseline]
    names = ("faithful gain", "unfaithful gain", "faithful loss", "unfaithful loss")
    return [(name, sum(p.quadrant == name for p in own)) for name in names]
