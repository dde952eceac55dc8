"""The numbers of a report, computed from stored results."""

from collections.abc import Mapping
from dataclasses import replace

from kdbench.config import ReportSettings
from kdbench.config.kinds import given_keys
from kdbench.errors import InputError, nearest
from kdbench.metrics import result_name
from kdbench.reports.against_baseline import gain_points
from kdbench.reports.correlations import correlations
from kdbench.reports.left_out import reasons
from kdbench.reports.levels import level
from kdbench.reports.model import Axis, Findings
from kdbench.reports.points import (
    answer_shares,
    band_points,
    calibration_points,
    curve_points,
    exposure_points,
)
from kdbench.reports.select import Selection, select
from kdbench.store.results import MetricResult

_DEFAULT_CURVE = "acceptance"
_ANSWERS = {"score": "answer_accuracy", "fidelity": "answer_agreement"}


def find(settings: ReportSettings) -> Findings:
    """Compute all numbers of a report.

    Raises:
        InputError: The results are unreadable, no student was compared with a teacher, or the
            baseline, a task or a metric is unknown.
    """
    return findings_of(settings, select(settings))


def findings_of(settings: ReportSettings, selection: Selection) -> Findings:
    """Compute all numbers of a selection of runs.

    Raises:
        InputError: A metric is unknown.
    """
    metrics = _metrics(selection)
    score, fidelity = _axes(settings, selection, metrics)
    points = gain_points(selection, score, fidelity)
    curve = _curve(selection, fidelity.name.partition("@")[0])
    units = {name.partition("@")[0]: metric.unit for name, metric in reversed(metrics.items())}
    findings = Findings(
        score=score,
        fidelity=fidelity,
        curve=curve,
        curve_unit=units.get(curve, "") if curve else "",
        teacher=selection.teacher,
        students=selection.students,
        tasks=selection.tasks,
        points=tuple(points),
        band=tuple(band_points(selection)),
        cells=tuple(answer_shares(selection)),
        curves=tuple(curve_points(selection, curve) if curve else ()),
        exposure=tuple(exposure_points(selection)),
        calibration=tuple(calibration_points(selection)),
        correlations=tuple(correlations(points, score, fidelity, selection.baseline is not None)),
        left_out=(),
    )
    return replace(findings, left_out=tuple(reasons(findings, selection)))


def _metrics(selection: Selection) -> dict[str, MetricResult]:
    """One result of each metric by name, if possible one that has a number."""
    known: dict[str, MetricResult] = {}
    for results in selection.results.values():
        for result in results.values():
            for name, metric in result.metrics.items():
                if name not in known or known[name].value is None:
                    known[name] = metric
    return known


def _axes(
    settings: ReportSettings, selection: Selection, known: Mapping[str, MetricResult]
) -> tuple[Axis, Axis]:
    """The metrics of score and fidelity.

    Where a task is scored by likelihood, which has no responses, and all have final answers,
    accuracy and agreement of these are what the tasks have in common.
    """
    results = [result for by_task in selection.results.values() for result in by_task.values()]
    has_options = any("output_type" in result.fingerprint for result in results)
    names = {"score": settings.score, "fidelity": settings.fidelity}
    if has_options and all(level(result, _ANSWERS["fidelity"]) for result in results):
        given = given_keys(settings)
        names |= {key: name for key, name in _ANSWERS.items() if key not in given}
    return _axis("score", names["score"], known), _axis("fidelity", names["fidelity"], known)


def _axis(key: str, given: str, known: Mapping[str, MetricResult]) -> Axis:
    """The metric that a key names.

    Args:
        key: Name of the key, for messages.
        given: Value of the key.
        known: Results by name.
    """
    name = result_name(given, known)
    if name is None or name not in known:
        raise InputError(f"{key}={given}: these runs have no such metric: {nearest(given, known)}")
    metric = known[name]
    if metric.value is None:
        reason = metric.reason or "not defined"
        others = sorted(
            n for n, m in known.items() if m.value is not None and m.direction != "none"
        )
        choice = f"; choose {key}= among {', '.join(others)}" if others else ""
        raise InputError(f"{key}={given}: no run has a number for this metric: {reason}{choice}")
    if metric.direction == "none":
        raise InputError(f"{key}={given}: neither higher nor lower is better; give another metric")
    return Axis(name, metric.unit, metric.direction)


def _curve(selection: Selection, fidelity: str) -> str | None:
    """The metric to plot by token: that of fidelity if it was stored by token, else acceptance."""
    stored = {
        name.partition("@")[0]
        for results in selection.results.values()
        for result in results.values()
        for name in result.curves
        if "@" in name
    }
    return next((name for name in (fidelity, _DEFAULT_CURVE) if name in stored), None)
