"""Panels of a figure: their layout, axes, titles and legend."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kdbench.task import task_title
from kdbench.text import AVERAGE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

_WIDTH = 9.0  # inches; at 100 % in a README, letters are as large as its text


def panels(
    count: int, columns: int = 3, height: float = 3.2, sharex: bool = False
) -> tuple["Figure", list["Axes"]]:
    """A figure with a number of panels in rows.

    Args:
        count: Number of panels.
        columns: Maximum number of panels in a row.
        height: Height of a row in inches.
        sharex: Whether the panels share their x axis.
    """
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


def layout() -> "ConstrainedLayoutEngine":
    """The layout that keeps panels, labels and legends from overlapping."""
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    return ConstrainedLayoutEngine(w_pad=0.07, h_pad=0.07)


def left_label(all_axes: Sequence["Axes"], text: str) -> None:
    """Put the same label to the left of every row of panels."""
    for axes in all_axes:
        spec = axes.get_subplotspec()
        if spec is not None and spec.is_first_col():
            axes.set_ylabel(text)


def title_of(task: str) -> str:
    """The title of a task."""
    return "Average" if task == AVERAGE else task_title(task)


def short(text: str, letters: int = 34) -> str:
    """A name cut to a number of letters; its middle goes, because names differ at their ends."""
    if len(text) <= letters:
        return text
    half = (letters - 1) // 2
    return f"{text[:half]}…{text[-half:]}"


def legend(
    figure: "Figure", handles: Sequence[Any], labels: Sequence[str], columns: int = 3
) -> None:
    """Put a legend above all panels and make the figure taller by its height.

    Args:
        figure: The figure.
        handles: Matplotlib artists, one for each label.
        labels: Texts of the legend.
        columns: Maximum number of columns.
    """
    # matplotlib ignores labels that begin with an underscore.
    shown = [
        f" {label}" if label.startswith("_") else label
        for label in (short(text, 40) for text in labels)
    ]
    letters = 12 * figure.get_figwidth()  # that fit into one line
    fitting = max(1, min(columns, int(letters / (max(map(len, shown)) + 6))))
    # The legend's lines and the common label must not shrink the panels.
    figure.set_figheight(figure.get_figheight() + 0.23 * math.ceil(len(shown) / fitting) + 0.4)
    figure.legend(handles, shown, loc="outside upper center", ncols=fitting)


def token_axis(axes: "Axes", last: int, narrow: bool = False) -> None:
    """Make the x axis a logarithmic one of token numbers from 1.

    Args:
        axes: The panel.
        last: Largest token number.
        narrow: Whether to draw only every other tick.
    """
    from matplotlib.ticker import NullLocator

    axes.set_xscale("log", base=2)
    powers = range(max(1, math.ceil(math.log2(max(2, last)))) + 1)
    step = (2 if len(powers) > 8 else 1) * (1 + narrow)
    ticks = [2**power for power in powers][::step]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    no_ticks: Any = NullLocator()
    axes.xaxis.set_minor_locator(no_ticks)
    axes.set_xlim(0.9, max(2, last) * 1.1)
