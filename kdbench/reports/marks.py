"""Marks of students: a colour and a marker by method, and points with error bars."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kdbench.reports.model import Number, StudentRow
from kdbench.reports.style import COLOURS, GREY, MARKERS

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Mark:
    """Colour and marker of a student.

    Attributes:
        colour: Matplotlib colour.
        marker: Matplotlib marker.
    """

    colour: str
    marker: str


def marks(students: Sequence[StudentRow]) -> Mapping[str, Mark]:
    """A mark for each method, in order; the baseline's is grey."""
    methods = list(dict.fromkeys(row.method for row in students if not row.baseline))
    by_method = {
        method: Mark(COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)])
        for i, method in enumerate(methods)
    }
    return by_method | {row.method: Mark(GREY, "X") for row in students if row.baseline}


def method_labels(students: Iterable[StudentRow]) -> dict[str, str]:
    """The text of the legend for each method, in order."""
    return {
        row.method: f"{row.method} (baseline)" if row.baseline else row.method for row in students
    }


def draw_point(axes: "Axes", x: Number, y: Number, mark: Mark, size: float) -> None:
    """Draw a point with error bars on both axes.

    Args:
        axes: The panel.
        x: Value on the x axis.
        y: Value on the y axis.
        mark: Colour and marker.
        size: Area of the marker in square points.
    """
    axes.errorbar(
        x.value,
        y.value,
        xerr=_half_widths(x),
        yerr=_half_widths(y),
        fmt="none",
        ecolor=mark.colour,
        elinewidth=1,
        alpha=0.55,
    )
    axes.scatter(
        x.value,
        y.value,
        s=size,
        c=mark.colour,
        marker=mark.marker,
        edgecolors="white",
        linewidths=0.8,
        zorder=3,
    )


def _half_widths(number: Number) -> list[list[float]] | None:
    """The interval's distance below and above the value, as matplotlib's errorbar takes it."""
    if number.low is None or number.high is None:
        return None
    below, above = number.value - number.low, number.high - number.value
    return [[max(0.0, below)], [max(0.0, above)]]
