"""Names next to the points of a panel, where they have room."""

from collections.abc import Iterator, Mapping, Sequence
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
    {"xytext": (5, 13), "ha": "left", "va": "bottom"},
    {"xytext": (-5, -13), "ha": "right", "va": "top"},
)
"""Where a name can be, in points from its point; the first free one is taken."""
_POINT = 3.5  # half of a point's width in pixels


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
        taken = list(_point_boxes(axes, panel))
        for name, x, y, label in _named(panel):
            _write(axes, name, (x, y), colours[label], inside, taken)


def _write(
    axes: "Axes",
    name: str,
    point: tuple[float, float],
    colour: str,
    inside: "Bbox",
    taken: "list[Bbox]",
) -> None:
    """Write a name at the first free place, and add its box to those that are taken."""
    for keys in _PLACES:
        text = axes.annotate(short(name, 20), point, textcoords="offset points", **keys)
        text.set(color=colour, fontsize=7.5)
        text.set_bbox({"facecolor": axes.get_facecolor(), "alpha": 0.7, "lw": 0, "pad": 0.5})
        box = text.get_window_extent()
        corners = ((box.x0, box.y0), (box.x1, box.y1))
        if all(inside.contains(*corner) for corner in corners) and not box.count_overlaps(taken):
            taken.append(box)
            return
        text.remove()


def _point_boxes(axes: "Axes", panel: Panel) -> Iterator["Bbox"]:
    """Where the points are, which names must not hide."""
    from matplotlib.transforms import Bbox

    for curve in panel.curves:
        for x, y in axes.transData.transform(list(zip(curve.x, curve.y, strict=True))):
            yield Bbox.from_extents(x - _POINT, y - _POINT, x + _POINT, y + _POINT)


def _named(panel: Panel) -> Iterator[tuple[str, float, float, str]]:
    for curve in panel.curves:
        for name, x, y in zip(curve.names, curve.x, curve.y, strict=bool(curve.names)):
            if name:
                yield name, x, y, curve.label
