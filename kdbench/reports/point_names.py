"""Names next to the points of a panel, where they have room."""

from collections.abc import Iterator, Mapping, Sequence
from math import hypot
from typing import TYPE_CHECKING, Any

from kdbench.reports.panels import short
from kdbench.store.conclusions import Panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

_PLACES: Any = (
    {"xytext": (5, 4), "ha": "left", "va": "bottom"},
    {"xytext": (-5, 4), "ha": "right", "va": "bottom"},
    {"xytext": (5, -4), "ha": "left", "va": "top"},
    {"xytext": (-5, -4), "ha": "right", "va": "top"},
    {"xytext": (0, 7), "ha": "center", "va": "bottom"},
    {"xytext": (0, -7), "ha": "center", "va": "top"},
    {"xytext": (7, 0), "ha": "left", "va": "center"},
    {"xytext": (-7, 0), "ha": "right", "va": "center"},
)
"""Where a name can be, in points from its point; the first free one is taken."""
_POINT = 3.5  # half of a point's width in pixels
_CLEARLY = 1.5  # how much nearer a name is to its own point than to any other


def draw_names(
    figure: "Figure", panels: Sequence[tuple[Panel, "Axes"]], colours: Mapping[str, str]
) -> None:
    """Write the names of points that have one; a name without room is left out.

    Args:
        figure: The figure, finished but for the names.
        panels: Its panels with their axes, whose points are drawn.
        colours: Colour of each curve, by label.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    if not any(curve.names for panel, _ in panels for curve in panel.curves):
        return
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()  # places the panels, which decides where names have room
    for panel, axes in panels:
        inside = axes.get_window_extent()
        points = [(x, y) for curve in panel.curves for x, y in _pixels(axes, curve.x, curve.y)]
        taken = [_box_of(point) for point in points]
        for name, x, y, label in _named(panel):
            _write(axes, name, (x, y), colours[label], inside, points, taken)


def _write(
    axes: "Axes",
    name: str,
    point: tuple[float, float],
    colour: str,
    inside: "Bbox",
    points: Sequence[tuple[float, float]],
    taken: "list[Bbox]",
) -> None:
    """Write a name at the first free place where it is nearest to its own point.

    Its box is added to those that are taken.
    """
    (own,) = _pixels(axes, point[:1], point[1:])
    for keys in _PLACES:
        text = axes.annotate(short(name, 20), point, textcoords="offset points", **keys)
        text.set(color=colour, fontsize=7.5)
        text.set_bbox({"facecolor": axes.get_facecolor(), "alpha": 0.7, "lw": 0, "pad": 0.5})
        box = text.get_window_extent()
        corners = ((box.x0, box.y0), (box.x1, box.y1))
        is_inside = all(inside.contains(*corner) for corner in corners)
        if is_inside and not box.count_overlaps(taken) and _is_nearest(box, own, points):
            taken.append(box)
            return
        text.remove()


def _is_nearest(
    box: "Bbox", own: tuple[float, float], points: Sequence[tuple[float, float]]
) -> bool:
    """Whether each other point is clearly farther, so that the name is not read as that one's.

    A point at the same place does not count.
    """
    distance = _distance(box, own)
    others = (point for point in points if hypot(point[0] - own[0], point[1] - own[1]) > 1)
    return all(_CLEARLY * distance < _distance(box, other) for other in others)


def _distance(box: "Bbox", point: tuple[float, float]) -> float:
    x, y = point
    return hypot(max(box.x0 - x, 0, x - box.x1), max(box.y0 - y, 0, y - box.y1))


def _pixels(
    axes: "Axes", xs: Sequence[float], ys: Sequence[float]
) -> Iterator[tuple[float, float]]:
    """Where points of the data are in the picture."""
    for x, y in axes.transData.transform(list(zip(xs, ys, strict=True))):
        yield float(x), float(y)


def _box_of(point: tuple[float, float]) -> "Bbox":
    """The place of a point, which names must not hide."""
    from matplotlib.transforms import Bbox

    x, y = point
    return Bbox.from_extents(x - _POINT, y - _POINT, x + _POINT, y + _POINT)


def _named(panel: Panel) -> Iterator[tuple[str, float, float, str]]:
    for curve in panel.curves:
        for name, x, y in zip(curve.names, curve.x, curve.y, strict=bool(curve.names)):
            if name:
                yield name, x, y, curve.label
