"""How pictures look: colours that colour-blind readers tell apart, panels, legends, bytes."""

import io
import math
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from kdbench.reports.model import Number, Student
from kdbench.task import TITLES
from kdbench.text import AVERAGE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

Dashes = Literal["-", "--", ":", "-."]

# Okabe and Ito's, without the yellow, which is hard to see on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P")  # of another number, so that pairs repeat late
DASHES: tuple[Dashes, ...] = ("-", "--", ":", "-.")
GREY = "#666666"
_WIDTH = 9.0  # inches: at 100 % in a README a letter has the size of its text
_DPI = 150
_SETTINGS: Any = {
    "svg.hashsalt": "kdbench",
    "svg.fonttype": "path",
    "text.parse_math": False,  # a dollar in a model's name is a dollar
    "axes.formatter.use_mathtext": False,
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "figure.facecolor": "white",
}


@contextmanager
def drawing() -> Iterator[None]:
    """The look, whatever settings the user's matplotlib has."""
    import matplotlib as mpl

    with mpl.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # names in other scripts
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        yield


@dataclass(frozen=True)
class Picture:
    """A drawn picture as bytes."""

    png: bytes
    svg: bytes


def picture(figure: "Figure") -> Picture:
    """The same bytes for the same figure."""
    png, svg = io.BytesIO(), io.BytesIO()
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # laid out once, for both
    figure.savefig(png, format="png", dpi=_DPI, metadata={"Software": None})
    figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    return Picture(png.getvalue(), svg.getvalue())


def panels(
    count: int, columns: int = 3, height: float = 3.2, sharex: bool = False
) -> tuple["Figure", list["Axes"]]:
    """A figure of so many panels, a few beside each other."""
    from matplotlib.figure import Figure

    columns = max(1, min(columns, count))
    rows = math.ceil(count / columns)
    width = {1: 5.5, 2: 7.5}.get(columns, _WIDTH)
    figure = Figure(figsize=(width, height * rows), layout=layout())
    axes = figure.subplots(rows, columns, squeeze=False, sharex=sharex)
    flat = list(axes.flat)
    for unused in flat[count:]:
        unused.set_axis_off()
    return figure, flat[:count]


def left_label(all_axes: Sequence["Axes"], text: str) -> None:
    """The same label at the left of every row of panels."""
    for axes in all_axes:
        spec = axes.get_subplotspec()
        if spec is not None and spec.is_first_col():
            axes.set_ylabel(text)


def layout() -> "ConstrainedLayoutEngine":
    """Panels, labels and legends make room for each other."""
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    return ConstrainedLayoutEngine(w_pad=0.07, h_pad=0.07)


def title_of(task: str) -> str:
    """A task as panels call it."""
    return "average" if task == AVERAGE else TITLES.get(task, task)


def short(text: str, letters: int = 34) -> str:
    """A name that fits; the middle goes, for ends tell names apart."""
    if len(text) <= letters:
        return text
    half = (letters - 1) // 2
    return f"{text[:half]}…{text[-half:]}"


def legend(
    figure: "Figure", handles: Sequence[Any], labels: Sequence[str], columns: int = 3
) -> None:
    """A legend above all panels, out of the way of the axes' common labels."""
    # matplotlib passes over labels that begin with an underscore.
    shown = [
        f" {label}" if label.startswith("_") else label
        for label in (short(one, 40) for one in labels)
    ]
    letters = 12 * figure.get_figwidth()  # that stand beside each other
    fitting = max(1, min(columns, int(letters / (max(map(len, shown)) + 6))))
    # The legend's lines and the common label take nothing from the panels.
    figure.set_figheight(figure.get_figheight() + 0.23 * math.ceil(len(shown) / fitting) + 0.4)
    figure.legend(handles, shown, loc="outside upper center", ncols=fitting)


@dataclass(frozen=True)
class Look:
    """Colour and marker of a student."""

    colour: str
    marker: str


def method_labels(students: Iterable[Student]) -> dict[str, str]:
    """Methods as legends call them, in order."""
    return {
        one.method: f"{one.method} (baseline)" if one.baseline else one.method for one in students
    }


def looks(students: Sequence[Student]) -> Mapping[str, Look]:
    """By method, in order; the baseline is grey."""
    methods = list(dict.fromkeys(one.method for one in students if not one.baseline))
    found = {
        name: Look(COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)])
        for i, name in enumerate(methods)
    }
    for one in students:
        if one.baseline:
            found[one.method] = Look(GREY, "X")
    return found


def draw_point(axes: "Axes", x: Number, y: Number, look: Look, size: float) -> None:
    """A point with error bars on both axes."""
    colour = look.colour
    axes.errorbar(
        x.value,
        y.value,
        xerr=_reach(x),
        yerr=_reach(y),
        fmt="none",
        ecolor=colour,
        elinewidth=1,
        alpha=0.55,
    )
    axes.scatter(
        x.value,
        y.value,
        s=size,
        c=colour,
        marker=look.marker,
        edgecolors="white",
        linewidths=0.8,
        zorder=3,
    )


def _reach(number: Number) -> list[list[float]] | None:
    """Both ends of an interval, as matplotlib's errorbar takes them."""
    if number.low is None or number.high is None:
        return None
    below, above = number.value - number.low, number.high - number.value
    return [[max(0.0, below)], [max(0.0, above)]]


def token_axis(axes: "Axes", last: int, narrow: bool = False) -> None:
    """A logarithmic axis of token numbers from 1, as buckets widen."""
    axes.set_xscale("log", base=2)
    powers = range(max(1, math.ceil(math.log2(max(2, last)))) + 1)
    step = (2 if len(powers) > 8 else 1) * (1 + narrow)
    ticks = [2**power for power in powers][::step]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.xaxis.set_minor_locator(_no_ticks())
    axes.set_xlim(0.9, max(2, last) * 1.1)


def _no_ticks() -> Any:
    from matplotlib.ticker import NullLocator

    return NullLocator()
