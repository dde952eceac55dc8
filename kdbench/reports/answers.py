"""Pictures B and C: agreement of final answers within its band, and the five cells."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kdbench.reports.model import BandPoint, Cells, Findings
from kdbench.reports.style import (
    GREY,
    Look,
    Picture,
    draw_point,
    drawing,
    left_label,
    legend,
    looks,
    method_labels,
    panels,
    picture,
    short,
    title_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BAND = "#BFD7EA"
CELL_WORDS = {
    "rr": "both right (RR)",
    "wws": "both wrong, same answer (WWs)",
    "wr": "only the student right (WR)",
    "rw": "only the teacher right (RW)",
    "wwd": "both wrong, different (WWd)",
}
_CELL_COLOURS = {
    "rr": "#0072B2",
    "wws": "#56B4E9",
    "wr": "#009E73",
    "rw": "#E69F00",
    "wwd": "#C8C8C8",
}
_LIGHT = {"rr"}  # cells dark enough for white figures


def draw_band(found: Findings) -> Picture:
    """A panel for each task: agreement over accuracy, within what the accuracies allow."""
    tasks = list(dict.fromkeys(point.task for point in found.band))
    by_method = looks(found.students)
    with drawing():
        figure, all_axes = panels(len(tasks), height=2.8 if len(tasks) > 2 else 3.3)
        for axes, task in zip(all_axes, tasks, strict=True):
            points = [one for one in found.band if one.task == task]
            axes.set_title(title_of(task))
            _band_panel(axes, points, by_method)
        figure.supxlabel("the student's accuracy", fontsize=10)
        left_label(all_axes, "agreement with the teacher")
        _band_legend(figure, found, by_method)
        return picture(figure)


def _band_panel(axes: "Axes", points: Sequence[BandPoint], by_method: Mapping[str, Look]) -> None:
    teacher = sum(one.teacher_accuracy for one in points) / len(points)
    grid = [0.0, *sorted({teacher, 1 - teacher}), 1.0]  # where the edges bend
    low = [max(0.0, teacher + own - 1) for own in grid]
    high = [1 - abs(teacher - own) for own in grid]
    axes.fill_between(grid, low, high, color=_BAND, linewidth=0, zorder=0)
    axes.plot([0, 1], [0, teacher], color="black", linestyle=":", linewidth=1.3, zorder=1)
    ceilings = [one.ceiling for one in points if one.ceiling is not None]
    if ceilings:
        axes.axhline(max(ceilings), color=GREY, linestyle="--", linewidth=1, zorder=1)
    axes.axvline(teacher, color=GREY, linewidth=0.8, zorder=1)
    for one in points:
        look = by_method[one.student.method]
        draw_point(axes, one.accuracy, one.agreement, look, size=70)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_aspect("equal")
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", ".25", ".5", ".75", "1"])
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", ".25", ".5", ".75", "1"])


def _band_legend(figure: Any, found: Findings, by_method: Mapping[str, Look]) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    methods = method_labels(one.student for one in found.band)
    handles: list[Any] = [
        Line2D([], [], linestyle="", marker=by_method[name].marker, color=by_method[name].colour)
        for name in methods
    ]
    handles += [
        Patch(color=_BAND),
        Line2D([], [], color="black", linestyle=":", linewidth=1.3),
        Line2D([], [], color=GREY, linewidth=0.8),
    ]
    labels = [
        *methods.values(),
        "allowed by the two accuracies",
        "if independent, and wrong never alike",
        "the teacher's accuracy",
    ]
    if any(one.ceiling is not None for one in found.band):
        handles.append(Line2D([], [], color=GREY, linestyle="--", linewidth=1))
        labels.append("the teacher with itself")
    legend(figure, handles, labels)


def draw_cells(found: Findings) -> Picture:
    """A stacked bar for each task and run; the blue part is agreement."""
    tasks = list(dict.fromkeys(one.task for one in found.cells))
    most = max(sum(one.task == task for one in found.cells) for task in tasks)
    with drawing():
        figure, all_axes = panels(len(tasks), columns=1, height=0.5 + 0.32 * most, sharex=True)
        figure.set_figwidth(9)
        for axes, task in zip(all_axes, tasks, strict=True):
            axes.set_title(title_of(task), loc="left")
            _cells_panel(axes, [one for one in found.cells if one.task == task])
        figure.supxlabel("share of answers; the blue part is agreement", fontsize=10)
        _cells_legend(figure)
        return picture(figure)


def _cells_panel(axes: "Axes", bars_: Sequence[Cells]) -> None:
    for row, one in enumerate(bars_):
        start = 0.0
        for name, colour in _CELL_COLOURS.items():
            share = getattr(one, name)
            axes.barh(row, share, left=start, color=colour, edgecolor="white", height=0.78)
            if share >= 0.04:
                axes.text(
                    start + share / 2,
                    row,
                    f"{share:.2f}".lstrip("0"),
                    ha="center",
                    va="center",
                    fontsize=8.5,
                    color="white" if name in _LIGHT else "black",
                )
            start += share
    labels = [short(one.student.label, 28) for one in bars_]
    axes.set_yticks(range(len(bars_)), labels)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)


def _cells_legend(figure: Any) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(color=_CELL_COLOURS[name]) for name in CELL_WORDS]
    legend(figure, handles, list(CELL_WORDS.values()))
