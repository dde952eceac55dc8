"""The figure of a conclusion: its panels, in a light and a dark form."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from kdbench.reports.panels import legend, panels
from kdbench.reports.style import COLOURS, DASHES, MARKERS, Picture, drawing, picture
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
    labels = list(dict.fromkeys(curve.label for panel in shown for curve in panel.curves))
    styles = {label: _style(place, theme) for place, label in enumerate(labels)}
    figure, all_axes = panels(len(shown), columns=3 if len(shown) in (3, 5, 6) else 2)
    handles: dict[str, Any] = {}
    for axes, panel in zip(all_axes, shown, strict=True):
        axes.set_title(panel.title)
        axes.set_xlabel(panel.x_label)
        axes.set_ylabel(panel.y_label)
        if panel.log_x:
            axes.set_xscale("log")
            _label_plainly(axes.xaxis)
        if panel.log_y:
            axes.set_yscale("log")
            _label_plainly(axes.yaxis)
        for curve in panel.curves:
            handles.setdefault(curve.label, _draw(axes, curve, styles[curve.label]))
    legend(figure, [handles[label] for label in labels], labels)
    return figure


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
    if curve.low:
        axes.vlines(curve.x, curve.low, curve.high, color=style["color"], lw=1.2)
    points = {**style, "linestyle": "none"}
    return axes.plot(curve.x, curve.y, ms=5, **points)[0]
