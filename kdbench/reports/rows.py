"""The numbers of a report as rows: of the CSV file of each picture, and of `report.json`."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from kdbench.reports.model import Findings, Number, StudentRow
from kdbench.text import cell_text

ReportRow = Mapping[str, Any]


def gain_rows(findings: Findings) -> list[ReportRow]:
    """The rows of gain.csv; gains and changes are positive where they are improvements."""
    return [
        {
            **student_cells(point.task, point.student),
            **interval_cells("gain", point.gain),
            **interval_cells("change", point.change),
            "quadrant": point.quadrant,
            **interval_cells("score", point.score),
            **interval_cells("fidelity", point.fidelity),
        }
        for point in findings.points
    ]


def band_rows(findings: Findings) -> list[ReportRow]:
    """The rows of band.csv."""
    return [
        {
            **student_cells(point.task, point.student),
            **interval_cells("accuracy", point.accuracy),
            **interval_cells("agreement", point.agreement),
            "teacher_accuracy": point.teacher_accuracy,
            "least": point.low,
            "most": point.high,
            "position": point.position,
            "independent": point.independent,
            "ceiling": point.ceiling,
            **interval_cells("error_agreement", point.error_agreement),
            **interval_cells("kappa", point.kappa),
        }
        for point in findings.band
    ]


def cell_rows(findings: Findings) -> list[ReportRow]:
    """The rows of cells.csv."""
    return [
        {
            **student_cells(shares.task, shares.student),
            **{name: getattr(shares, name) for name in ("rr", "wws", "wr", "rw", "wwd", "n", "p")},
        }
        for shares in findings.cells
    ]


def curve_rows(findings: Findings) -> list[ReportRow]:
    """The rows of by_token.csv."""
    return [
        {
            **student_cells(point.task, point.student),
            "metric": findings.curve,
            "set": point.where,
            "start": point.start,
            "stop": point.stop,
            "value": point.value,
            "value_low": point.low,
            "value_high": point.high,
            "n": point.n,
        }
        for point in findings.curves
    ]


def exposure_rows(findings: Findings) -> list[ReportRow]:
    """The rows of exposure.csv."""
    return [
        {
            **student_cells(point.task, point.student),
            "length": point.length,
            "value": point.value,
            "n": point.n,
        }
        for point in findings.exposure
    ]


def calibration_rows(findings: Findings) -> list[ReportRow]:
    """The rows of calibration.csv."""
    return [
        {
            **student_cells(point.task, point.student),
            "metric": point.metric,
            **interval_cells("error", point.error),
        }
        for point in findings.calibration
    ]


def student_cells(task: str, student: StudentRow) -> dict[str, Any]:
    """The cells that say whose number a row holds, and on which task."""
    return {
        "task": task,
        "run": student.run,
        "model": student.model,
        "method": student.method,
        "parameters": student.parameters,
        "baseline": student.baseline,
    }


def interval_cells(name: str, number: Number | None) -> dict[str, Any]:
    """The cells of a number and its interval; empty without a number."""
    return {
        name: None if number is None else number.value,
        f"{name}_low": None if number is None else number.low,
        f"{name}_high": None if number is None else number.high,
        f"{name}_n": None if number is None else number.n,
    }


def as_csv(rows: Sequence[ReportRow]) -> str:
    """Rows as CSV text, with six decimals and empty cells where there is no number."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: _csv_cell(value) for key, value in row.items()})
    return out.getvalue()


def _csv_cell(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return cell_text(value)
    return round(value, 6) + 0.0 if isinstance(value, float) else value


def as_json(
    findings: Findings, settings: Mapping[str, Any], tables: Mapping[str, Sequence[ReportRow]]
) -> Mapping[str, Any]:
    """The content of `report.json`.

    Args:
        findings: The numbers.
        settings: Settings of the report, as JSON values.
        tables: Rows of each picture, by its name; they are stored by column.
    """
    return {
        "schema": 1,
        "settings": settings,
        "teacher": findings.teacher,
        "score": asdict(findings.score),
        "fidelity": asdict(findings.fidelity),
        "students": {student.run: asdict(student) for student in findings.students},
        "tasks": list(findings.tasks),
        **{
            name: {column: [row[column] for row in rows] for column in rows[0]}
            for name, rows in tables.items()
        },
        "correlations": {
            f"{correlation.of}, {correlation.task or 'all tasks'}": asdict(correlation)
            for correlation in findings.correlations
        },
        "left_out": list(findings.left_out),
    }
