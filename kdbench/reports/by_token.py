"""Pictures by length: fidelity by token, and the accumulated exposure error."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kdbench.reports.model import CurvePoint, ExposurePoint, Findings, StudentRow
from kdbench.reports.panels import layout, left_label, legend, panels, title_of, token_axis
from kdbench.reports.points import SETS
from kdbench.reports.style import COLOURS, DASHES, Dashes, Picture, drawing, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LineStyle = tuple[str, Dashes]  # colour, and dashes so that a print in grey is legible

_LABELS = {
    "ref": "on the reference",
    "teacher": "on the teacher's text",
    "student": "on the student's own text",
}


def draw_by_token(findings: Findings) -> Picture:
    """Draw a column of panels for each task, a row for each text, a line for each student."""
    tasks = list(dict.fromkeys(point.task for point in findings.curves))
    shown = {point.where for point in findings.curves}
    sets = [where for where in SETS if where in shown]
    styles = _styles(findings.curves)
    last = max(point.stop for point in findings.curves)
    with drawing():
        figure, all_axes = _grid(len(sets), len(tasks))
        for axes, task in zip(all_axes[0], tasks, strict=True):
            axes.set_title(title_of(task))
        for row, where in zip(all_axes, sets, strict=True):
            row[0].set_ylabel(_LABELS[where], fontsize=9.5)
            for axes, task in zip(row, tasks, strict=True):
                for student, style in styles.items():
                    _curve(axes, _known(findings.curves, task, where, student), style)
                token_axis(axes, last, narrow=len(tasks) > 3)
        figure.supxlabel("token of the response (log scale)", fontsize=10)
        figure.supylabel(f"{findings.curve} ({findings.curve_unit})", fontsize=10)
        _line_legend(figure, styles)
        return picture(figure)


def _styles(points: Sequence[CurvePoint | ExposurePoint]) -> dict[StudentRow, LineStyle]:
    """A colour and dashes for each student, in order; neighbours differ in both."""
    students = dict.fromkeys(point.student for point in points)
    return {
        student: (COLOURS[i % len(COLOURS)], DASHES[i % len(DASHES)])
        for i, student in enumerate(students)
    }


def _known(
    points: Sequence[CurvePoint], task: str, where: str, student: StudentRow
) -> list[CurvePoint]:
    return [
        point
        for point in points
        if (point.task, point.where) == (task, where)
        and point.student is student
        and point.value is not None
    ]


def _grid(rows: int, columns: int) -> tuple["Figure", Any]:
    from matplotlib.figure import Figure

    width = max(6.5, min(9.0, 3.6 * columns), 1.9 * columns)
    figure = Figure(figsize=(width, max(3.2, 2.3 * rows)), layout=layout())
    return figure, figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)


def _curve(axes: "Axes", points: Sequence[CurvePoint], style: LineStyle) -> None:
    """Draw a curve with its intervals, thin where it has none.

    Args:
        axes: The panel.
        points: Points of one student on one text that have a value, in order.
        style: Colour and dashes of the student.
    """
    colour, dashes = style
    tokens = [point.middle for point in points]
    values = [float(point.value or 0) for point in points]
    # From here on, too few responses are left for an interval.
    edge = next((i for i, point in enumerate(points) if point.low is None), len(points))
    thin = max(0, edge - 1)
    axes.plot(tokens[:edge], values[:edge], color=colour, linestyle=dashes, linewidth=1.6)
    axes.plot(
        tokens[thin:], values[thin:], color=colour, linestyle=dashes, linewidth=0.7, alpha=0.6
    )
    axes.fill_between(
        tokens[:edge],
        [float(point.low or 0) for point in points[:edge]],
        [float(point.high or 0) for point in points[:edge]],
        color=colour,
        alpha=0.08,  # the bands of all students overlap
        linewidth=0,
    )


def draw_exposure(findings: Findings) -> Picture:
    """Draw a panel for each task, a line for each student."""
    tasks = list(dict.fromkeys(point.task for point in findings.exposure))
    styles = _styles(findings.exposure)
    last = max(point.length for point in findings.exposure)
    with drawing():
        figure, all_axes = panels(len(tasks))
        for axes, task in zip(all_axes, tasks, strict=True):
            axes.set_title(title_of(task))
            axes.axhline(0, color="black", linewidth=0.8)
            of_task = [point for point in findings.exposure if point.task == task]
            for student, style in styles.items():
                _exposure_line(axes, of_task, student, style)
            token_axis(axes, last)
        figure.supxlabel("length of the response in tokens (log scale)", fontsize=10)
        left_label(all_axes, "excess error (percent)")
        _line_legend(figure, styles)
        return picture(figure)


def _exposure_line(
    axes: "Axes", points: Sequence[ExposurePoint], student: StudentRow, style: LineStyle
) -> None:
    known = [p for p in points if p.student is student and p.value is not None]
    axes.plot(
        [point.length for point in known],
        [float(point.value or 0) for point in known],
        color=style[0],
        linestyle=style[1],
        linewidth=1.5,
    )


def _line_legend(figure: "Figure", styles: Mapping[StudentRow, LineStyle]) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=colour, linestyle=dashes) for colour, dashes in styles.values()]
    legend(figure, handles, [student.label for student in styles])
