"""How pictures are drawn: colours, matplotlib's settings, and a figure as bytes."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Dashes = Literal["-", "--", ":", "-."]

# Okabe and Ito's palette, which colour-blind readers can tell apart, without the yellow, which is
# hard to see on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P")  # one fewer than colours, so that pairs repeat late
DASHES: tuple[Dashes, ...] = ("-", "--", ":", "-.")
GREY = "#666666"
_DPI = 150
_SETTINGS: Any = {
    "svg.hashsalt": "kdbench",
    "svg.fonttype": "none",  # real text, which can be searched, copied and read aloud
    "text.parse_math": False,  # a dollar sign in a model's name is not mathematics
    "axes.formatter.use_mathtext": False,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],  # matplotlib ships the first one
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
    """A context with kdbench's matplotlib settings, whatever the user's settings are."""
    import matplotlib as mpl

    with mpl.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # names in other scripts
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        yield


@dataclass(frozen=True)
class Picture:
    """A drawn picture.

    Attributes:
        png: Bytes of the PNG file.
        svg: Bytes of the SVG file.
    """

    png: bytes
    svg: bytes


def picture(figure: "Figure") -> Picture:
    """A figure as PNG and SVG; equal figures give equal bytes."""
    png, svg = io.BytesIO(), io.BytesIO()
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # laid out once, for both formats
    figure.savefig(png, format="png", dpi=_DPI, metadata={"Software": None})
    figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    return Picture(png.getvalue(), svg.getvalue())
