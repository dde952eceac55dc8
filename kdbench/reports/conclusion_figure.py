"""The figure of a conclusion: its panels, in a light and a dark form."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from kdbench.reports.panels import legend, panels, short
from kdbench.reports.point_names import draw_names
from kdbench.reports.style import COLOURS, DASHES, GREY, MARKERS, Picture, drawing, picture
from kdbench.store.conclusions import Conclusion, Panel, PanelCurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

FigureTheme = Literal["light", "dark"]
THEMES: tuple[FigureTheme, ...] = ("light", "dark")
_INK: Mapping[FigureTheme, str] = {"light": "#1f2328", "dark": "#e6edf3"}
_PAPER: Mapping[FigureTheme, str] = {"light": "#ffffff", "dark": "#0d1117"}
# The same hues, lighter, since the darkest of them cannot be seen on black.
_ON_DARK = ("#4ea8de", "#ff8c42", "#2ec4a0", "#e39ac4", "#f2b632", "#8fd3ff", "#e6edf3")
# Of bars: two blues that add up, then the hues that they are told from, and grey for the rest.
_PARTS = ("#0072B2", "#56B4E9", "#009E73", "#E69F00", "#C8C8C8", "#CC79A7", "#D55E00")
_NAMED_BARS = 40


def draw_conclusion(conclusion: Conclusion, theme: FigureTheme = "light") -> Picture:
    """Draw the panels of a conclusion; equal conclusions give equal bytes.

    Args:
        conclusion: With one panel at least.
        theme: Of the page that shows it.
    """
    with drawing():
        import matplotlib as mpl

        mpl.rcParams.update(_colours(theme))
        return picture(_figure(conclusion.panels, theme))


def _colours(theme: FigureTheme) -> Any:
    ink = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
    paper = ("figure.facecolor", "axes.facecolor", "savefig.facecolor")
    return {
        **dict.fromkeys(ink, _INK[theme]),
        **dict.fromkeys(paper, _PAPER[theme]),
        "legend.labelcolor": _INK[theme],
    }


def _figure(shown: Sequence[Panel], theme: FigureTheme) -> "Figure":
    labels = list(dict.fromkeys(c.label for panel in shown if not panel.bars for c in panel.curves))
    styles = {label: _style(place, theme) for place, label in enumerate(labels)}
    columns = 3 if len(shown) in (3, 5, 6) else 2
    figure, all_axes = panels(len(shown), columns=columns, height=max(map(_height, shown)))
    handles: dict[str, Any] = {}
    for axes, panel in zip(all_axes, shown, strict=True):
        axes.set_title(panel.title)
        axes.set_xlabel(panel.x_label)
        axes.set_ylabel(panel.y_label)
        if panel.bars:
            parts = _draw_bars(axes, panel, theme)
            handles |= {label: part for label, part in parts.items() if label not in handles}
            continue
        _draw_axes(axes, panel)
        for curve in panel.curves:
            handles.setdefault(curve.label, _draw(axes, curve, styles[curve.label]))
    legend(figure, list(handles.values()), list(handles))
    colours = {label: style["color"] for label, style in styles.items()}
    draw_names(figure, list(zip(shown, all_axes, strict=True)), colours)
    return figure


def _height(panel: Panel) -> float:
    """Height of a panel in inches, in which the names of its bars have room."""
    return max(3.2, 0.9 + 0.17 * len(panel.bars)) if len(panel.bars) <= _NAMED_BARS else 4.5


def _draw_axes(axes: "Axes", panel: Panel) -> None:
    if panel.log_x:
        axes.set_xscale("log")
        _label_plainly(axes.xaxis)
    if panel.log_y:
        axes.set_yscale("log")
        _label_plainly(axes.yaxis)
    if panel.crossed:
        axes.axhline(0, color=GREY, lw=0.8, zorder=0)
        axes.axvline(0, color=GREY, lw=0.8, zorder=0)


def _draw_bars(axes: "Axes", panel: Panel, theme: FigureTheme) -> dict[str, Any]:
    """Draw stacked horizontal bars; returns the artist of each part for the legend."""
    import numpy as np

    starts = np.zeros(len(panel.bars))
    parts: dict[str, Any] = {}
    for place, curve in enumerate(panel.curves):
        colour = _PARTS[place % len(_PARTS)]
        parts[curve.label] = axes.barh(
            curve.x, curve.y, left=starts, color=colour, edgecolor=_PAPER[theme], lw=0.4, height=0.9
        )
        starts += np.array(curve.y)
    names = [short(name, 24) for name in panel.bars] if len(panel.bars) <= _NAMED_BARS else []
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_ylim(len(panel.bars) - 0.4, -0.6)
    axes.set_xlim(0, max(starts))
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    return parts


def _label_plainly(axis: "Axis") -> None:
    """Plain numbers at a logarithmic axis, as labels are not read as mathematics."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(lambda value, _: _short(value))
    axis.set_minor_formatter(NullFormatter())


def _short(value: float) -> str:
    """A tick: 0.2, 500, 20k, 1M."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def _style(place: int, theme: FigureTheme) -> dict[str, Any]:
    colours = COLOURS if theme == "light" else _ON_DARK
    return {
        "color": colours[place % len(colours)],
        "marker": MARKERS[place % len(MARKERS)],
        "linestyle": DASHES[place % len(DASHES)],
    }


def _draw(axes: "Axes", curve: PanelCurve, style: Mapping[str, Any]) -> Any:
    """Draw a curve with its band, or points with their bars; returns its artist for the legend."""
    if curve.joined:
        if curve.low:
            axes.fill_between(curve.x, curve.low, curve.high, color=style["color"], alpha=0.2, lw=0)
        return axes.plot(curve.x, curve.y, lw=1.6, ms=3.5, **style)[0]
    alpha = 0.5 if curve.left else 1.0  # or crosses would hide one another
    if curve.low:
        axes.vlines(curve.x, curve.low, curve.high, color=style["color"], lw=1.2, alpha=alpha)
    if curve.left:
        axes.hlines(curve.y, curve.left, curve.right, color=style["color"], lw=1.2, alpha=alpha)
    points = {**style, "linestyle": "none"}
    return axes.plot(curve.x, curve.y, ms=5, **points)[0]
