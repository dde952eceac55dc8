"""Picture D: fidelity by token index; and the accumulated exposure error by length."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kdbench.reports.model import CurvePoint, Findings
from kdbench.reports.points import SETS
from kdbench.reports.style import (
    COLOURS,
    DASHES,
    Dashes,
    Picture,
    drawing,
    layout,
    left_label,
    legend,
    panels,
    picture,
    short,
    title_of,
    token_axis,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SETS: dict[str, tuple[str, Dashes]] = {  # colour and dashes, so that print in grey can be read too
    "ref": ("#009E73", ":"),
    "teacher": ("#D55E00", "--"),
    "student": ("#0072B2", "-"),
}
_WORDS = {
    "ref": "@ref: reference text",
    "teacher": "@teacher: the teacher's text",
    "student": "@student: its own text",
}


def draw_by_token(found: Findings) -> Picture:
    """A row for each student, a panel for each task."""
    tasks = list(dict.fromkeys(one.task for one in found.curves))
    students = list(dict.fromkeys(one.student for one in found.curves))
    last = max(one.stop for one in found.curves)
    with drawing():
        figure, all_axes = _grid(len(students), len(tasks))
        for row, student in enumerate(students):
            for column, task in enumerate(tasks):
                axes = all_axes[row][column]
                here = [p for p in found.curves if p.student is student and p.task == task]
                if row == 0:
                    axes.set_title(title_of(task))
                _curves_panel(axes, here)
                token_axis(axes, last, narrow=len(tasks) > 3)
            all_axes[row][0].set_ylabel(_wrapped(student.label), fontsize=9.5)
        figure.supxlabel("token of the response (logarithmic)", fontsize=10)
        figure.supylabel(f"{found.curve} ({found.curve_unit})", fontsize=10)
        _sets_legend(figure, {one.where for one in found.curves})
        return picture(figure)


def _wrapped(label: str) -> str:
    """A name in two lines where it is long: the method above the model."""
    if len(label) <= 18 or " (" not in label:
        return short(label, 24)
    first, _, second = label.partition(" (")
    return f"{short(first, 24)}\n({short(second.removesuffix(')'), 22)})"


def _grid(rows: int, columns: int) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    width = max(5.5, min(9.0, 3.6 * columns), 1.9 * columns)
    figure = Figure(figsize=(width, 2.1 * rows), layout=layout())
    return figure, figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)


def _curves_panel(axes: "Axes", points: Sequence[CurvePoint]) -> None:
    for where in SETS:
        own = [p for p in points if p.where == where and p.value is not None]
        colour, dashes = _SETS[where]
        # Between the first and the last token of a bucket, counted from 1.
        middle = [((p.start + 1) * p.stop) ** 0.5 for p in own]
        # Beyond it few responses are left, and there is no interval.
        edge = next((i for i, p in enumerate(own) if p.low is None), len(own))
        values = [float(p.value or 0) for p in own]
        axes.plot(middle[:edge], values[:edge], color=colour, linestyle=dashes, linewidth=1.6)
        axes.plot(
            middle[max(0, edge - 1) :],
            values[max(0, edge - 1) :],
            color=colour,
            linestyle=dashes,
            linewidth=0.7,
            alpha=0.6,
        )
        axes.fill_between(
            middle[:edge],
            [float(p.low or 0) for p in own[:edge]],
            [float(p.high or 0) for p in own[:edge]],
            color=colour,
            alpha=0.15,
            linewidth=0,
        )


def _sets_legend(figure: Any, sets: set[str]) -> None:
    from matplotlib.lines import Line2D

    shown = [where for where in SETS if where in sets]
    handles = [Line2D([], [], color=_SETS[w][0], linestyle=_SETS[w][1]) for w in shown]
    legend(figure, handles, [_WORDS[where] for where in shown])


def draw_exposure(found: Findings) -> Picture:
    """A panel for each task, a line for each student."""
    tasks = list(dict.fromkeys(one.task for one in found.exposure))
    students = list(dict.fromkeys(one.student for one in found.exposure))
    looks = {
        one.run: (COLOURS[i % len(COLOURS)], DASHES[i // len(COLOURS) % len(DASHES)])
        for i, one in enumerate(students)
    }
    last = max(one.length for one in found.exposure)
    with drawing():
        figure, all_axes = panels(len(tasks))
        for axes, task in zip(all_axes, tasks, strict=True):
            axes.set_title(title_of(task))
            axes.axhline(0, color="black", linewidth=0.8)
            for student in students:
                own = [
                    p
                    for p in found.exposure
                    if p.task == task and p.student is student and p.value is not None
                ]
                colour, dashes = looks[student.run]
                axes.plot(
                    [p.length for p in own],
                    [float(p.value or 0) for p in own],
                    color=colour,
                    linestyle=dashes,
                    linewidth=1.5,
                )
            token_axis(axes, last)
        figure.supxlabel("tokens of the response that count (logarithmic)", fontsize=10)
        left_label(all_axes, "excess error (percent)")
        _students_legend(figure, [(looks[one.run], one.label) for one in students])
        return picture(figure)


def _students_legend(figure: Any, shown: Sequence[tuple[tuple[str, Dashes], str]]) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=look[0], linestyle=look[1]) for look, _ in shown]
    legend(figure, handles, [label for _, label in shown])
