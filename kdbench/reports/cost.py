"""The picture of quality against the cost of serving."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kdbench.reports.costs import CostPoint, Costs, frontier
from kdbench.reports.marks import Mark, draw_point, marks, method_labels
from kdbench.reports.model import Findings, Number
from kdbench.reports.panels import legend, panels, title_of
from kdbench.reports.style import COLOURS, GREY, Picture, drawing, picture
from kdbench.text import AVERAGE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_AREA = 90.0  # square points, of a marker
_WIDTH = 7.5  # inches
_TEACHER = Mark(COLOURS[-1], "*")
_ROOM = 1.25  # the axis ends at this factor beyond the outermost models


def draw_cost(costs: Costs, findings: Findings) -> Picture:
    """Draw a point for each model, and the line of those that none beats.

    Args:
        costs: Costs of the models.
        findings: Numbers of the report.
    """
    by_method = marks(findings.students)
    score = findings.score
    with drawing():
        figure, (axes,) = panels(1, height=3.8)
        figure.set_figwidth(_WIDTH)
        best = frontier(costs.points, score.sign)
        _frontier(axes, best)
        for point in costs.points:
            mark = _TEACHER if point.teacher else by_method[point.student.method]
            area = 2 * _AREA if point.teacher else _AREA
            draw_point(axes, Number(point.cost), point.score, mark, area)
        _log_axis(axes, [point.cost for point in costs.points])
        axes.set_xlabel(f"{costs.label} (log scale)")
        over = AVERAGE if len(findings.tasks) > 1 else findings.tasks[0]
        axes.set_ylabel(f"{score.name} ({score.unit}), {title_of(over)}")
        if score.sign < 0:
            axes.invert_yaxis()
        _legend(figure, costs.points, by_method, has_line=len(best) > 1)
        return picture(figure)


def _frontier(axes: "Axes", best: Sequence[CostPoint]) -> None:
    if len(best) > 1:
        axes.step(
            [point.cost for point in best],
            [point.score.value for point in best],
            where="post",
            color=GREY,
            linewidth=0.9,
            linestyle=":",
            zorder=1,
        )


def _log_axis(axes: "Axes", costs: Sequence[float]) -> None:
    """A logarithmic axis with few plain numbers, even within less than a decade."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    low, high = min(costs) / _ROOM, max(costs) * _ROOM
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    locator: Any = LogLocator(subs=(1.0, 2.0, 5.0) if high / low < 100 else (1.0,))
    ticks = [tick for tick in locator.tick_values(low, high) if low <= tick <= high]
    if len(ticks) < 3:
        ticks = [tick for tick in MaxNLocator(4).tick_values(low, high) if low <= tick <= high]
    axes.set_xticks(ticks)
    plain: Any = FuncFormatter(lambda value, _: _short_number(value))
    none: Any = NullLocator()
    axes.xaxis.set_major_formatter(plain)
    axes.xaxis.set_minor_locator(none)


def _short_number(value: float) -> str:
    for size, letter in ((1e9, " B"), (1e6, " M"), (1e4, " k")):
        if value >= size:
            return f"{value / (1e3 if letter == ' k' else size):.3g}{letter}"
    return f"{value:.3g}"


def _legend(
    figure: "Figure", points: Sequence[CostPoint], by_method: Mapping[str, Mark], has_line: bool
) -> None:
    from matplotlib.lines import Line2D

    def handle(mark: Mark, size: float) -> Line2D:
        return Line2D([], [], linestyle="", marker=mark.marker, color=mark.colour, markersize=size)

    methods = method_labels(point.student for point in points if not point.teacher)
    handles = [handle(by_method[method], 8) for method in methods]
    labels = list(methods.values())
    if any(point.teacher for point in points):
        handles.append(handle(_TEACHER, 12))
        labels.append("teacher")
    if has_line:
        handles.append(Line2D([], [], linestyle=":", color=GREY))
        labels.append("frontier")
    legend(figure, handles, labels)
