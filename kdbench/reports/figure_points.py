"""Points of a figure's panel with their intervals, and their names where there is room."""

from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING

from kdbench.store.conclusions import PanelPoint

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.backend_bases import RendererBase
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox

_AWAY = 5.0  # typographic points, from a point to its name
_RINGS = 3  # around a point, that are tried
_DIRECTIONS = ((1, 1), (1, -1), (-1, 1), (-1, -1), (0, 1), (0, -1), (1, 0), (-1, 0))
_NEVER = 1e6  # an area that no name covers
_SIZE = 8.0


def draw_points(axes: "Axes", points: Sequence[PanelPoint], colour: str) -> None:
    """Draw points with the bars of their intervals, without names.

    Args:
        axes: The panel.
        points: The points; none draws nothing.
        colour: Colour of all of them, as each has its name.
    """
    for point in points:
        if point.low is not None and point.high is not None:
            axes.vlines(point.x, point.low, point.high, color=colour, lw=1, alpha=0.5)
        if point.x_low is not None and point.x_high is not None:
            axes.hlines(point.y, point.x_low, point.x_high, color=colour, lw=1, alpha=0.5)
        axes.plot(point.x, point.y, color=colour, marker="o", linestyle="none", ms=4.5)


def place_names(
    figure: "Figure", all_axes: "Sequence[Axes]", points: Sequence[Sequence[PanelPoint]]
) -> None:
    """Write the name of each point beside it, where it covers no other name and no point.

    Args:
        figure: The figure, whose axes have all that is drawn.
        all_axes: Its panels.
        points: Points of each panel.
    """
    if not any(points):
        return
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
    figure.draw_without_rendering()  # now the axes are where they will be
    for axes, of_panel in zip(all_axes, points, strict=True):
        axes.autoscale(enable=False)  # a name must not move what it names
        taken = [_around(axes, point) for point in of_panel]
        for point in of_panel:
            taken.append(_place(axes, point, taken, renderer))


def _place(
    axes: "Axes", point: PanelPoint, taken: "Sequence[Bbox]", renderer: "RendererBase"
) -> "Bbox":
    """Write a name where it covers least, the nearest such place first; returns what it covers."""
    inside = axes.get_window_extent(renderer)

    def covered(name: "Annotation") -> float:
        box = name.get_window_extent(renderer)
        outside = box.x0 < inside.x0 or box.x1 > inside.x1 or box.y1 > inside.y1
        return sum((_common(box, other) for other in taken), _NEVER * bool(outside))

    best, least = None, float("inf")
    for ring, (x, y) in product(range(1, _RINGS + 1), _DIRECTIONS):
        name = _name(axes, point, x, y, ring)
        if (area := covered(name)) < least:
            best, least = (x, y, ring), area
        name.remove()
    assert best is not None  # noqa: S101 - there are places
    return _name(axes, point, *best).get_window_extent(renderer)


def _name(axes: "Axes", point: PanelPoint, x: int, y: int, ring: int) -> "Annotation":
    name = axes.annotate(
        point.label,
        (point.x, point.y),
        (x * _AWAY * ring, y * _AWAY * ring),
        textcoords="offset points",
        ha={1: "left", -1: "right", 0: "center"}[x],
        va={1: "bottom", -1: "top", 0: "center"}[y],
        fontsize=_SIZE,
        annotation_clip=False,
    )
    name.set_in_layout(False)  # else the panel would shrink, and the names no longer fit
    return name


def _around(axes: "Axes", point: PanelPoint) -> "Bbox":
    """The place of a point, in pixels."""
    from matplotlib.transforms import Bbox

    x, y = axes.transData.transform((point.x, point.y))
    return Bbox.from_extents(x - 4, y - 4, x + 4, y + 4)


def _common(one: "Bbox", other: "Bbox") -> float:
    """The area that two boxes share."""
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    return float(max(0.0, width) * max(0.0, height))
