"""What pages with plots share: their scripts, and the report's numbers as JSON values."""

from collections.abc import Sequence
from typing import Any

from kdbench.reports.model import Axis, Number, StudentRow
from kdbench.reports.panels import title_of
from kdbench.text import DECIMALS

SCRIPTS = ("plot.js", "plot-marks.js", "plot-charts.js")
STYLES = ("plot.css",)
LIBRARIES = ("vendor/d3.min.js", "vendor/plot.umd.min.js")


def decimals_of(unit: str) -> int:
    """The number of decimals that a table shows of a unit."""
    return {**DECIMALS, "percent": 1}.get(unit, 3)


def axis_data(axis: Axis) -> dict[str, Any]:
    """A metric: its name, unit, direction and decimals."""
    return {
        "name": axis.name,
        "unit": axis.unit,
        "lower": axis.sign < 0,
        "decimals": decimals_of(axis.unit),
    }


def number_data(number: Number | None) -> list[float | int | None] | None:
    """A number as value, lower end, upper end and count; None if there is none."""
    return None if number is None else [number.value, number.low, number.high, number.n]


def students_data(students: Sequence[StudentRow]) -> list[dict[str, Any]]:
    """The students: folder of the run, label, method, and whether it is the baseline."""
    return [
        {
            "run": student.run,
            "label": student.label,
            "method": student.method,
            "baseline": student.baseline,
        }
        for student in students
    ]


def tasks_data(tasks: Sequence[str]) -> list[dict[str, str]]:
    """The tasks: name and title."""
    return [{"name": task, "title": title_of(task)} for task in tasks]
