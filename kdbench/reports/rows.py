"""The numbers of a report as rows: of the CSV beside each picture, and of `report.json`."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from kdbench.reports.model import Findings, Number, Student

Row = Mapping[str, Any]


def gain_rows(found: Findings) -> list[Row]:
    """Picture A. Gains and changes are positive where they are for the better."""
    return [
        {
            **_who(one.task, one.student),
            **_interval("gain", one.gain),
            **_interval("change", one.change),
            "quadrant": one.quadrant,
            **_interval("score", one.score),
            **_interval("fidelity", one.fidelity),
        }
        for one in found.points
    ]


def band_rows(found: Findings) -> list[Row]:
    """Picture B."""
    return [
        {
            **_who(one.task, one.student),
            **_interval("accuracy", one.accuracy),
            **_interval("agreement", one.agreement),
            "teacher_accuracy": one.teacher_accuracy,
            "least": one.low,
            "most": one.high,
            "position": one.position,
            "independent": one.independent,
            "ceiling": one.ceiling,
            **_interval("error_agreement", one.error_agreement),
            **_interval("kappa", one.kappa),
        }
        for one in found.band
    ]


def cell_rows(found: Findings) -> list[Row]:
    """Picture C."""
    return [
        {**_who(one.task, one.student)}
        | {name: getattr(one, name) for name in ("rr", "wws", "wr", "rw", "wwd")}
        for one in found.cells
    ]


def curve_rows(found: Findings) -> list[Row]:
    """Picture D."""
    return [
        {
            **_who(one.task, one.student),
            "metric": found.curve,
            "set": one.where,
            "start": one.start,
            "stop": one.stop,
            "value": one.value,
            "value_low": one.low,
            "value_high": one.high,
            "n": one.n,
        }
        for one in found.curves
    ]


def exposure_rows(found: Findings) -> list[Row]:
    """The picture of exposure error."""
    return [
        {
            **_who(one.task, one.student),
            "length": one.length,
            "value": one.value,
            "n": one.n,
        }
        for one in found.exposure
    ]


def _who(task: str, student: Student) -> dict[str, Any]:
    return {
        "task": task,
        "run": student.run,
        "model": student.model,
        "method": student.method,
        "parameters": student.parameters,
        "baseline": student.baseline,
    }


def _interval(name: str, number: Number | None) -> dict[str, Any]:
    return {
        name: None if number is None else number.value,
        f"{name}_low": None if number is None else number.low,
        f"{name}_high": None if number is None else number.high,
        f"{name}_n": None if number is None else number.n,
    }


def as_csv(rows: Sequence[Row]) -> str:
    """Six decimals, empty where there is no number."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: _plain(value) for key, value in row.items()})
    return out.getvalue()


def _plain(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return round(value, 6) + 0.0 if isinstance(value, float) else value


def as_json(
    found: Findings, settings: Mapping[str, Any], tables: Mapping[str, Sequence[Row]]
) -> Row:
    """Everything, as `report.json` keeps it: of each picture its columns, as in its CSV."""
    return {
        "schema": 1,
        "settings": settings,
        "teacher": found.teacher,
        "score": asdict(found.score),
        "fidelity": asdict(found.fidelity),
        "students": {one.run: asdict(one) for one in found.students},
        "tasks": list(found.tasks),
        **{
            name: {key: [row[key] for row in rows] for key in rows[0]}
            for name, rows in tables.items()
        },
        "correlations": {
            f"{one.of}, {one.task or 'all tasks'}": asdict(one) for one in found.correlations
        },
        "left_out": list(found.left_out),
    }
