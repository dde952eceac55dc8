"""The picture of a frontier: the curves, and the gains with their intervals."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kdbench.frontiers.words import decimals_of, gain_text
from kdbench.reports.style import MARKERS, drawing
from kdbench.store.frontiers import FrontierRecord, FrontierStudent

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Theme:
    """Colours of a picture: text, secondary text, grid, and those of the curves."""

    ink: str
    quiet: str
    grid: str
    colours: tuple[str, ...]


# Okabe and Ito's palette, with lighter tones on dark pages.
THEMES: Mapping[str, Theme] = {
    "light": Theme(
        "#1f2328",
        "#59636e",
        "#d1d9e0",
        ("#0072B2", "#C44E00", "#007A5A", "#A8427F", "#946300", "#2E86C1", "#6A51A3"),
    ),
    "dark": Theme(
        "#f0f6fc",
        "#9198a1",
        "#3d444d",
        ("#56B4E9", "#E69F00", "#2FD3A2", "#E79AC2", "#F0E442", "#9CC9E8", "#B9A5E8"),
    ),
}
_ROW = 0.34  # inches of a student's row


def draw(record: FrontierRecord, theme: str) -> bytes:
    """Draw a frontier as SVG; equal numbers give equal bytes.

    Args:
        record: The frontier.
        theme: `light` or `dark`, the pages that it is for.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    colours = THEMES[theme]
    settings: Any = {
        "text.color": colours.ink,
        "axes.labelcolor": colours.ink,
        "axes.edgecolor": colours.grid,
        "xtick.color": colours.quiet,
        "ytick.color": colours.quiet,
    }
    with drawing():
        mpl.rcParams.update(settings)
        height = max(4.0, 1.6 + _ROW * len(record.students))
        figure = Figure(figsize=(10, height), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(3, 2))
        for axes in (left, right):
            axes.grid(color=colours.grid, linewidth=0.6)
            axes.set_axisbelow(True)
        _curves(left, record, colours)
        _gains(right, record, colours)
        picture = io.BytesIO()
        metadata = {
            "Date": None,
            "Creator": None,
            "Title": f"{record.title}: quality against entropy",
            "Description": description(record),
        }
        figure.savefig(picture, format="svg", transparent=True, metadata=metadata)
    return picture.getvalue()


def description(record: FrontierRecord) -> str:
    """The gains in words, which the picture carries as its description."""
    decimals = decimals_of(record)
    gains = [
        f"{s.label}: {gain_text(s.gain, decimals)}"
        for s in record.students
        if s.label != record.baseline
    ]
    return f"frontier_gain over {record.baseline}: {'; '.join(gains)}"


def _marks(record: FrontierRecord, theme: Theme) -> dict[str, tuple[str, str]]:
    """Colour and marker of each student; the baseline's is grey."""
    others = [s.label for s in record.students if s.label != record.baseline]
    marks = {
        label: (theme.colours[i % len(theme.colours)], MARKERS[i % len(MARKERS)])
        for i, label in enumerate(others)
    }
    return {record.baseline: (theme.quiet, "X"), **marks}


def _curves(axes: "Axes", record: FrontierRecord, theme: Theme) -> None:
    marks = _marks(record, theme)
    for student in record.students:
        colour, marker = marks[student.label]
        points = sorted(student.points, key=lambda point: point.entropy.value)
        is_baseline = student.label == record.baseline
        axes.plot(
            [point.entropy.value for point in points],
            [point.quality.value for point in points],
            color=colour,
            marker=marker,
            markersize=6 if is_baseline else 4.5,
            linewidth=2.4 if is_baseline else 1.4,
            linestyle="--" if is_baseline else "-",
            zorder=3 if is_baseline else 2,
            label=f"{student.label} (baseline)" if is_baseline else student.label,
        )
    axes.set_xlabel("entropy of the sampling distribution (nats per token)")
    better = "; down is better" if record.direction == "lower" else ""
    axes.set_ylabel(f"{record.metric} ({record.unit}{better})")
    axes.legend(fontsize=8.5, labelcolor=theme.ink)


def _gains(axes: "Axes", record: FrontierRecord, theme: Theme) -> None:
    marks = _marks(record, theme)
    shown = [s for s in record.students if s.gain is not None]
    axes.axvline(0, color=theme.quiet, linewidth=1.2, linestyle="--")
    for row, student in enumerate(reversed(shown)):
        _gain(axes, row, student, marks[student.label])
    axes.set_yticks(range(len(shown)), [s.label for s in reversed(shown)], color=theme.ink)
    axes.set_ylim(-0.6, max(0.6, len(shown) - 0.4))
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(f"frontier_gain over {record.baseline} ({record.unit})")


def _gain(axes: "Axes", row: int, student: FrontierStudent, mark: tuple[str, str]) -> None:
    gain, (colour, marker) = student.gain, mark
    if gain is None:
        return
    if gain.low is not None and gain.high is not None:
        axes.plot([gain.low, gain.high], [row, row], color=colour, linewidth=1.6)
    axes.plot(gain.value, row, marker=marker, color=colour, markersize=7)
