"""The page Fidelity: how students compare with their teacher, drawn from the report's numbers."""

from typing import Any, get_args

from kdbench.reports.answers import band_edges
from kdbench.reports.model import Correlation, Findings, Quadrant, StudentRow
from kdbench.reports.panels import title_of
from kdbench.site.html import render
from kdbench.site.page import Page
from kdbench.site.plots import (
    LIBRARIES,
    SCRIPTS,
    STYLES,
    axis_data,
    decimals_of,
    number_data,
    students_data,
    tasks_data,
)
from kdbench.site.source import SiteSource
from kdbench.text import AVERAGE

_SHARES = ("rr", "wws", "wr", "rw", "wwd")


def fidelity_page(source: SiteSource) -> Page:
    """Make the page Fidelity; without a comparison with a teacher, it names the missing command."""
    if source.figures is None:
        html = render("fidelity.html.j2", findings=None, why=source.why_no_figures)
        return Page("fidelity", "Fidelity", html)
    findings = source.figures.findings
    return Page(
        "fidelity",
        "Fidelity",
        render(
            "fidelity.html.j2",
            findings=findings,
            correlations=[_correlation_row(found) for found in findings.correlations],
            quadrants=_quadrants(findings) if findings.has_gains else [],
            left_out=[line for line in findings.left_out if not line.startswith("cost:")],
        ),
        scripts=(*SCRIPTS, "fidelity-answers.js", "fidelity.js"),
        styles=STYLES,
        data={"fidelity": lambda: _data(source, findings)},
        libraries=LIBRARIES,
    )


def _data(source: SiteSource, findings: Findings) -> dict[str, Any]:
    """The numbers of the plots, with the tasks on which samples of each student are stored."""
    runs = [source.run(student.run) for student in findings.students]
    stored = [
        [task for task in findings.tasks if run is not None and source.has_samples(run, task)]
        for run in runs
    ]
    return {**fidelity_data(findings, source.settings.level), "samples": stored}


def _quadrants(findings: Findings) -> list[tuple[str, int]]:
    """The number of points in each quadrant, without averages and the baseline."""
    quadrants = [
        point.quadrant
        for point in findings.points
        if point.task != AVERAGE and not point.student.baseline
    ]
    return [(name, quadrants.count(name)) for name in get_args(Quadrant)]


def _correlation_row(found: Correlation) -> dict[str, Any]:
    """The cells of a correlation; a dash where there is no number, whose reason is the note."""
    bounds = [end for end in (found.low, found.high) if end is not None]
    return {
        "of": found.of,
        "task": title_of(found.task) if found.task else "all tasks",
        "rho": "–" if found.rho is None else _two_decimals(found.rho),
        "interval": f"[{', '.join(map(_two_decimals, bounds))}]" if bounds else "–",
        "n": found.n,
        "runs": found.runs,
        "note": found.reason or "",
    }


def _two_decimals(number: float) -> str:
    return f"{round(number, 2) + 0.0:.2f}"  # zero is never negative


def fidelity_data(findings: Findings, level: bool = False) -> dict[str, Any]:
    """The numbers of the page's plots.

    Args:
        findings: Numbers of the report.
        level: Whether gains are first shown against fidelity itself instead of its change.
    """
    index = {student: number for number, student in enumerate(findings.students)}
    shown = dict.fromkeys(point.task for point in findings.points)
    return {
        "teacher": findings.teacher,
        "baseline": findings.baseline.label if findings.baseline else None,
        "level": level,
        "score": axis_data(findings.score),
        "fidelity": axis_data(findings.fidelity),
        "students": students_data(findings.students),
        "tasks": tasks_data([*findings.tasks, *([AVERAGE] if AVERAGE in shown else [])]),
        "points": _points(findings, index),
        **_answers(findings, index),
        **_curves(findings, index),
        "calibration": [
            [point.task, index[point.student], point.metric, number_data(point.error)]
            for point in findings.calibration
        ],
    }


def _points(findings: Findings, index: dict[StudentRow, int]) -> list[dict[str, Any]]:
    return [
        {
            "task": point.task,
            "student": index[point.student],
            "score": number_data(point.score),
            "fidelity": number_data(point.fidelity),
            "gain": number_data(point.gain),
            "change": number_data(point.change),
            "quadrant": point.quadrant,
        }
        for point in findings.points
    ]


def _answers(findings: Findings, index: dict[StudentRow, int]) -> dict[str, Any]:
    """Agreement in its band, and who is right."""
    bands = []
    for task in dict.fromkeys(point.task for point in findings.band):
        points = [point for point in findings.band if point.task == task]
        teacher = sum(point.teacher_accuracy for point in points) / len(points)
        bands.append(
            {
                "task": task,
                "teacher": teacher,
                "edges": band_edges(teacher),
                "ceiling": max((p.ceiling for p in points if p.ceiling is not None), default=None),
                "points": [
                    {
                        "student": index[point.student],
                        "accuracy": number_data(point.accuracy),
                        "agreement": number_data(point.agreement),
                        "low": point.low,
                        "high": point.high,
                        "position": point.position,
                    }
                    for point in points
                ],
            }
        )
    cells = [
        {
            "task": shares.task,
            "student": index[shares.student],
            "shares": [getattr(shares, name) for name in _SHARES],
            "n": shares.n,
            "p": shares.p,
        }
        for shares in findings.cells
    ]
    return {"bands": bands, "cells": cells}


def _curves(findings: Findings, index: dict[StudentRow, int]) -> dict[str, Any]:
    """Fidelity by token, with the middle of each bucket, and the exposure error by length."""
    curves = [
        [
            point.task,
            index[point.student],
            point.where,
            point.start,
            point.stop,
            point.middle,
            [point.value, point.low, point.high, point.n],
        ]
        for point in findings.curves
        if point.value is not None
    ]
    exposure = [
        [point.task, index[point.student], point.length, [point.value, None, None, point.n]]
        for point in findings.exposure
        if point.value is not None
    ]
    metric = {"name": findings.curve, "unit": findings.curve_unit}
    return {
        "curve": {**metric, "decimals": decimals_of(findings.curve_unit)},
        "curves": curves,
        "exposure": exposure,
    }
