"""The picture of gains: gain of the score against change of the fidelity."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from kdbench.reports.marks import Mark, draw_point, marks, method_labels
from kdbench.reports.model import Axis, Findings, Number, Point
from kdbench.reports.panels import left_label, legend, panels, title_of
from kdbench.reports.style import GREY, Picture, drawing, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_AREAS = (40.0, 220.0)  # square points, of the markers of the smallest and the largest model
_ONLY_AREA = 80.0
_MARGIN = 0.02  # of an axis of rates, so that a marker at 0 or 1 is whole
_NAME_WIDTH = 0.36  # share of a panel's width that the name of a quadrant takes
_CORNERS = (
    ("unfaithful gain", 0.02, 0.98, "left", "top"),
    ("faithful gain", 0.98, 0.98, "right", "top"),
    ("unfaithful loss", 0.02, 0.02, "left", "bottom"),
    ("faithful loss", 0.98, 0.02, "right", "bottom"),
)


def draw_gain(findings: Findings, level: bool) -> Picture:
    """Draw a panel for each task and one for their average.

    Args:
        findings: Numbers of the report, with a baseline.
        level: Whether to plot gains against fidelity itself instead of its change.
    """
    points = [point for point in findings.points if point.gain and point.change]
    tasks = list(dict.fromkeys(point.task for point in points))
    by_method = marks(findings.students)
    areas = marker_areas(point.student.parameters for point in points)
    with drawing():
        figure, all_axes = panels(len(tasks))
        for axes, task in zip(all_axes, tasks, strict=True):
            axes.set_title(title_of(task))
            of_task = [point for point in points if point.task == task]
            _panel(axes, of_task, by_method, areas, findings.fidelity if level else None)
        figure.supxlabel(_x_label(findings, level), fontsize=10)
        left_label(all_axes, _y_label(findings.score))
        _legend(figure, points, by_method, areas)
        return picture(figure)


def _y_label(score: Axis) -> str:
    flipped = ", sign flipped; up is better" if score.sign < 0 else ""
    return f"gain in {score.name} ({score.unit}{flipped})"


def _x_label(findings: Findings, level: bool) -> str:
    fidelity, baseline = findings.fidelity, findings.baseline
    if level:
        flipped = ", axis inverted" if fidelity.sign < 0 else ""
        return f"{fidelity.name} ({fidelity.unit}{flipped}); right is more faithful"
    flipped = ", sign flipped" if fidelity.sign < 0 else ""
    compared = "" if baseline is None else f" from {baseline.label}"
    return f"change in {fidelity.name}{compared} ({fidelity.unit}{flipped}); right is more faithful"


def _panel(
    axes: "Axes",
    points: Sequence[Point],
    by_method: Mapping[str, Mark],
    areas: Mapping[int | None, float],
    fidelity: Axis | None,
) -> None:
    """Draw the points of a task around the baseline.

    Args:
        axes: The panel.
        points: Points of the task.
        by_method: Marks by method.
        areas: Areas of markers by number of parameters.
        fidelity: Metric of the x axis if levels are plotted, None for changes.
    """
    origin = 0.0
    if fidelity:
        origin = next((p.fidelity.value for p in points if p.student.baseline), origin)
    axes.axhline(0, color=GREY, linewidth=0.8, zorder=1)
    axes.axvline(origin, color=GREY, linewidth=0.8, zorder=1)
    x_reach = y_reach = 0.0
    # The largest first, so that no marker hides a smaller one.
    for point in sorted(points, key=lambda point: -areas[point.student.parameters or None]):
        x, y = (point.fidelity if fidelity else point.change), point.gain
        if x is None or y is None:
            continue
        area = areas[point.student.parameters or None]
        draw_point(axes, x, y, by_method[point.student.method], area)
        x_reach = max(x_reach, _farthest(x, origin))
        y_reach = max(y_reach, _farthest(y, 0.0))
    # The baseline is in the middle, and the corners stay free for the names of the quadrants.
    x_half, y_half = 1.3 * x_reach or 1.0, 1.3 * y_reach or 1.0
    to_the_right = -1 if fidelity and fidelity.sign < 0 else 1
    ends = [origin - x_half, origin + x_half]
    if fidelity and fidelity.unit == "rate":  # a level beyond 0 or 1 is none
        ends = [max(ends[0], -_MARGIN), min(ends[1], 1 + _MARGIN)]
    axes.set_xlim(*ends[::to_the_right])
    axes.set_ylim(-y_half, y_half)
    axes.locator_params(axis="x", nbins=4)
    axes.locator_params(axis="y", nbins=5)
    named = {point.quadrant for point in points}
    _name_quadrants(axes, axes.transLimits.transform((origin, 0.0))[0], named)


def _farthest(number: Number, origin: float) -> float:
    ends = [number.value, number.low, number.high]
    return max(abs(end - origin) for end in ends if end is not None)


def _name_quadrants(axes: "Axes", line: float, named: Collection[str | None]) -> None:
    """Name the quadrants in the corners, where they are wide enough.

    Args:
        axes: The panel.
        line: Where the baseline is, from 0 at the left to 1 at the right.
        named: Quadrants in which a point surely is.
    """
    for name, x, y, horizontal, vertical in _CORNERS:
        width = line if horizontal == "left" else 1 - line
        if name not in named or width < _NAME_WIDTH:
            continue
        axes.text(
            x,
            y,
            name,
            transform=axes.transAxes,
            ha=horizontal,
            va=vertical,
            color=GREY,
            fontsize=8.5,
            style="italic",
            zorder=0,
        )


def marker_areas(parameters: Iterable[int | None]) -> dict[int | None, float]:
    """Areas of markers in square points, by number of parameters.

    The area grows with the logarithm of the number; all are equal if fewer than two sizes are
    known.
    """
    known = sorted({count for count in parameters if count})
    if len(known) < 2:
        return dict.fromkeys([None, *known], _ONLY_AREA)
    low, high = math.log(known[0]), math.log(known[-1])
    slope = (_AREAS[1] - _AREAS[0]) / (high - low)
    by_count: dict[int | None, float] = {
        count: _AREAS[0] + slope * (math.log(count) - low) for count in known
    }
    return by_count | {None: _ONLY_AREA}


def _legend(
    figure: "Figure",
    points: Sequence[Point],
    by_method: Mapping[str, Mark],
    areas: Mapping[int | None, float],
) -> None:
    from matplotlib.lines import Line2D

    def handle(mark: Mark, size: float) -> Line2D:
        return Line2D([], [], linestyle="", marker=mark.marker, color=mark.colour, markersize=size)

    methods = method_labels(point.student for point in points)
    handles = [handle(by_method[method], 8) for method in methods]
    labels = list(methods.values())
    known = sorted(count for count in areas if count)
    if len(known) > 1:
        for count in (known[0], known[-1]):
            handles.append(handle(Mark(GREY, "o"), areas[count] ** 0.5))
            labels.append(f"{_rounded(count)} parameters")
    legend(figure, handles, labels)


def _rounded(parameters: int) -> str:
    for size, letter in ((1e9, " B"), (1e6, " M"), (1e3, " k")):
        if parameters >= size:
            return f"{parameters / size:.3g}{letter}"
    return str(parameters)
