"""Picture A: gain of the score over change of fidelity."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kdbench.reports.model import Axis, Findings, Number, Point
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
    title_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_AREAS = (40.0, 220.0)  # of markers, from the smallest to the largest model
_ONE_AREA = 80.0
_CORNERS = (
    ("unfaithful gain", 0.02, 0.98, "left", "top"),
    ("faithful gain", 0.98, 0.98, "right", "top"),
    ("unfaithful loss", 0.02, 0.02, "left", "bottom"),
    ("faithful loss", 0.98, 0.02, "right", "bottom"),
)


def draw_gain(found: Findings, level: bool) -> Picture:
    """A panel for each task and for their average.

    Args:
        found: the numbers, with a baseline.
        level: draw the gain over fidelity itself.
    """
    points = [one for one in found.points if one.gain and one.change]
    tasks = list(dict.fromkeys(one.task for one in points))
    by_method = looks(found.students)
    sizes = areas(one.student.parameters for one in points)
    with drawing():
        figure, all_axes = panels(len(tasks))
        for axes, task in zip(all_axes, tasks, strict=True):
            here = [one for one in points if one.task == task]
            axes.set_title(title_of(task))
            _panel(axes, here, by_method, sizes, level, found.fidelity)
        figure.supxlabel(_x_label(found, level), fontsize=10)
        left_label(all_axes, f"gain of {_difference(found.score)}")
        _legend(figure, points, by_method, sizes)
        return picture(figure)


def _difference(axis: Axis) -> str:
    turned = ", sign turned: up is better" if axis.sign < 0 else ""
    return f"{axis.name} ({axis.unit}{turned})"


def _x_label(found: Findings, level: bool) -> str:
    axis, baseline = found.fidelity, found.baseline
    against = "" if baseline is None else f" against {baseline.label}"
    if level:
        turned = ", axis turned" if axis.sign < 0 else ""
        return f"{axis.name} ({axis.unit}{turned}); right is more faithful"
    turned = ", sign turned" if axis.sign < 0 else ""
    return f"change of {axis.name}{against} ({axis.unit}{turned}); right is more faithful"


def _panel(
    axes: "Axes",
    points: Sequence[Point],
    by_method: Mapping[str, Look],
    sizes: Mapping[int | None, float],
    level: bool,
    fidelity: Axis,
) -> None:
    origin = 0.0
    if level:
        origin = next((p.fidelity.value for p in points if p.student.baseline), origin)
    axes.axhline(0, color=GREY, linewidth=0.8, zorder=1)
    axes.axvline(origin, color=GREY, linewidth=0.8, zorder=1)
    reach = [0.0, 0.0]
    for point in sorted(points, key=lambda one: -sizes[one.student.parameters or None]):
        x, y = (point.fidelity if level else point.change), point.gain
        if x is None or y is None:
            continue
        size = sizes[point.student.parameters or None]
        draw_point(axes, x, y, by_method[point.student.method], size)
        reach = [max(reach[0], _farthest(x, origin)), max(reach[1], _farthest(y, 0.0))]
    # The origin in the middle, and corners free for the quadrants' names.
    half = [1.3 * one or 1.0 for one in reach]
    turned = -1 if level and fidelity.sign < 0 else 1
    axes.set_xlim(origin - turned * half[0], origin + turned * half[0])
    axes.set_ylim(-half[1], half[1])
    axes.locator_params(axis="x", nbins=4)
    axes.locator_params(axis="y", nbins=5)
    for name, x_place, y_place, side, end in _CORNERS:
        axes.text(
            x_place,
            y_place,
            name,
            transform=axes.transAxes,
            ha=side,
            va=end,
            color=GREY,
            fontsize=8.5,
            style="italic",
            zorder=0,
        )


def _farthest(number: Number, origin: float) -> float:
    ends = [number.value, number.low, number.high]
    return max(abs(end - origin) for end in ends if end is not None)


def areas(sizes: Iterable[int | None]) -> dict[int | None, float]:
    """Markers' areas: by the logarithm of the models' parameters; of one size where unknown."""
    known = sorted({size for size in sizes if size})
    if len(known) < 2:
        return dict.fromkeys([None, *known], _ONE_AREA)
    low, high = math.log(known[0]), math.log(known[-1])
    way = (_AREAS[1] - _AREAS[0]) / (high - low)
    return {None: _ONE_AREA} | {size: _AREAS[0] + way * (math.log(size) - low) for size in known}


def _legend(
    figure: Any,
    points: Sequence[Point],
    by_method: Mapping[str, Look],
    sizes: Mapping[int | None, float],
) -> None:
    from matplotlib.lines import Line2D

    def mark(look: Look, size: float) -> Line2D:
        return Line2D([], [], linestyle="", marker=look.marker, color=look.colour, markersize=size)

    methods = method_labels(one.student for one in points)
    handles, labels = [mark(by_method[name], 8) for name in methods], list(methods.values())
    known = sorted(size for size in sizes if size)
    if len(known) > 1:
        for size in (known[0], known[-1]):
            handles.append(mark(Look(GREY, "o"), sizes[size] ** 0.5))
            labels.append(f"{_count(size)} parameters")
    legend(figure, handles, labels)


def _count(parameters: int) -> str:
    for size, letter in ((1e9, " B"), (1e6, " M"), (1e3, " k")):
        if parameters >= size:
            return f"{parameters / size:.3g}{letter}"
    return str(parameters)
