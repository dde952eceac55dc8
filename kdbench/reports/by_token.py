"""Pictures by length: fidelity by token, and the accumulated exposure error."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kdbench.reports.model import CurvePoint, ExposurePoint, Findings, StudentRow
from kdbench.reports.panels import layout, left_label, legend, panels, short, title_of, token_axis
from kdbench.reports.points import SETS
from kdbench.reports.style import COLOURS, DASHES, Dashes, Picture, drawing, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LineStyle = tuple[str, Dashes]  # colour, and dashes so that a print in grey is legible

_STYLES: dict[str, LineStyle] = {
    "ref": ("#009E73", ":"),
    "teacher": ("#D55E00", "--"),
    "student": ("#0072B2", "-"),
}
_LABELS = {
    "ref": "@ref: reference text",
    "teacher": "@teacher: the teacher's text",
    "student": "@student: the student's own text",
}


def draw_by_token(findings: Findings) -> Picture:
    """Draw a row of panels for each student, a panel for each task."""
    tasks = list(dict.fromkeys(point.task for point in findings.curves))
    students = list(dict.fromkeys(point.student for point in findings.curves))
    last = max(point.stop for point in findings.curves)
    with drawing():
        figure, all_axes = _grid(len(students), len(tasks))
        for axes, task in zip(all_axes[0], tasks, strict=True):
            axes.set_title(title_of(task))
        for row, student in zip(all_axes, students, strict=True):
            row[0].set_ylabel(_wrapped(student.label), fontsize=9.5)
            for axes, task in zip(row, tasks, strict=True):
                of_panel = [
                    point
                    for point in findings.curves
                    if point.student is student and point.task == task
                ]
                _curves_panel(axes, of_panel)
                token_axis(axes, last, narrow=len(tasks) > 3)
        figure.supxlabel("token of the response (log scale)", fontsize=10)
        figure.supylabel(f"{findings.curve} ({findings.curve_unit})", fontsize=10)
        shown = {point.where for point in findings.curves}
        sets = [name for name in SETS if name in shown]
        _line_legend(figure, [_STYLES[name] for name in sets], [_LABELS[name] for name in sets])
        return picture(figure)


def _wrapped(label: str) -> str:
    """A label; a long one is broken into the method and, below it, the model."""
    if len(label) <= 18 or " (" not in label:
        return short(label, 24)
    method, _, model = label.partition(" (")
    return f"{short(method, 24)}\n({short(model.removesuffix(')'), 22)})"


def _grid(rows: int, columns: int) -> tuple["Figure", Any]:
    from matplotlib.figure import Figure

    width = max(5.5, min(9.0, 3.6 * columns), 1.9 * columns)
    figure = Figure(figsize=(width, 2.1 * rows), layout=layout())
    return figure, figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)


def _curves_panel(axes: "Axes", points: Sequence[CurvePoint]) -> None:
    for where in SETS:
        _curve(axes, [p for p in points if p.where == where and p.value is not None], where)


def _curve(axes: "Axes", points: Sequence[CurvePoint], where: str) -> None:
    """Draw a curve with its intervals, thin where it has none.

    Args:
        axes: The panel.
        points: Points of one position set that have a value, in order.
        where: The position set.
    """
    colour, dashes = _STYLES[where]
    # The geometric mean of the first and the last token of a bucket, counted from 1.
    tokens = [((point.start + 1) * point.stop) ** 0.5 for point in points]
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
        alpha=0.15,
        linewidth=0,
    )


def draw_exposure(findings: Findings) -> Picture:
    """Draw a panel for each task, a line for each student."""
    tasks = list(dict.fromkeys(point.task for point in findings.exposure))
    students = list(dict.fromkeys(point.student for point in findings.exposure))
    styles: list[LineStyle] = [
        (COLOURS[i % len(COLOURS)], DASHES[i // len(COLOURS) % len(DASHES)])
        for i in range(len(students))
    ]
    last = max(point.length for point in findings.exposure)
    with drawing():
        figure, all_axes = panels(len(tasks))
        for axes, task in zip(all_axes, tasks, strict=True):
            axes.set_title(title_of(task))
            axes.axhline(0, color="black", linewidth=0.8)
            of_task = [point for point in findings.exposure if point.task == task]
            for student, style in zip(students, styles, strict=True):
                _exposure_line(axes, of_task, student, style)
            token_axis(axes, last)
        figure.supxlabel("length of the response in tokens (log scale)", fontsize=10)
        left_label(all_axes, "excess error (percent)")
        _line_legend(figure, styles, [student.label for student in students])
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


def _line_legend(figure: "Figure", styles: Sequence[LineStyle], labels: Sequence[str]) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=colour, linestyle=dashes) for colour, dashes in styles]
    legend(figure, handles, labels)
