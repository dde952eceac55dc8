"""Draw the picture of README.md: quality against fidelity of results/smollm2-135m.

    python docs/images/quality_fidelity.py

It writes one SVG for light pages and one for dark pages next to this file. Equal results give equal
bytes.
"""

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

import kdbench

HERE = Path(__file__).parent
RESULTS = HERE.parents[1] / "results" / "smollm2-135m"
METHODS = "SFT,KD,SeqKD,GKD,MiniLLM,DistiLLM,DistiLLM-2,TAID,ToDi,OPD,TSD-KD,Classmate,Sharpening"
QUALITY, FIDELITY = "AVG", "acceptance@student"

# Text, secondary text, grid, and the colours of the baseline, the control and the methods.
THEMES = {
    "light": (
        "#1f2328",
        "#59636e",
        "#d1d9e0",
        {"SFT": "#59636e", "Sharpening": "#C44E00", "": "#0072B2"},
    ),
    "dark": (
        "#f0f6fc",
        "#9198a1",
        "#3d444d",
        {"SFT": "#9198a1", "Sharpening": "#E69F00", "": "#56B4E9"},
    ),
}
FAR = 20  # points from which on a line leads from a mark to its label
# Where a label is, in points from its mark. The default is the upper right.
PLACES = {
    "SFT": (-8, 6),
    "TSD-KD": (-8, -14),
    "KD": (-8, 6),
    "SeqKD": (-8, -15),
    "OPD": (5, -14),
    "TAID": (5, -14),
    "ToDi": (-8, 6),
    "MiniLLM": (2, -29),
    "GKD": (8, -14),
    "Classmate": (8, -16),
}


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


def rows() -> dict[str, dict[str, str]]:
    """The rows of the table by label, as its CSV has them."""
    columns = f"{QUALITY},{FIDELITY}"
    table = kdbench.table(
        results=str(RESULTS), rows=f"Teacher,{METHODS}", columns=columns, published="none"
    )
    return {row["row"]: row for row in csv.DictReader(io.StringIO(table.render("csv")))}


def interval(row: dict[str, str], column: str) -> Interval:
    """A cell of the CSV."""
    return Interval(*(float(row[f"{column} {end}"]) for end in ("value", "ci_low", "ci_high")))


def described(found: Interval, decimals: int) -> str:
    """An interval in words."""
    return f"{found.value:.{decimals}f} ({found.low:.{decimals}f} to {found.high:.{decimals}f})"


def description(table: dict[str, dict[str, str]]) -> str:
    """The plotted numbers in words, which the pictures carry as their description."""
    lines = []
    for label, row in table.items():
        accepted = ""
        if row[f"{FIDELITY} value"]:  # the teacher has none
            accepted = f"acceptance {described(interval(row, FIDELITY), 3)}, "
        lines.append(f"{label}: {accepted}ROUGE-L {described(interval(row, QUALITY), 2)}")
    return "; ".join(lines)


def draw(theme: str, table: dict[str, dict[str, str]]) -> bytes:
    """The picture as SVG."""
    ink, quiet, grid, colours = THEMES[theme]
    settings: Any = {
        "svg.hashsalt": "kdbench",
        "svg.fonttype": "path",
        "font.family": "DejaVu Sans",
        "font.size": 11,
        "text.color": ink,
        "axes.labelcolor": ink,
        "axes.edgecolor": grid,
        "xtick.color": quiet,
        "ytick.color": quiet,
    }
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(settings)
        figure = Figure(figsize=(8, 4.6), layout="constrained")
        axes = figure.add_subplot()
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color=grid, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.set_xlabel(
            "Fidelity: acceptance, the share of the student's tokens the teacher accepts →"
        )
        axes.set_ylabel("Quality: ROUGE-L, mean of five sets →")
        teacher = interval(table["Teacher"], QUALITY)
        axes.axhline(teacher.value, color=quiet, linewidth=1.2, linestyle=(0, (5, 3)))
        axes.annotate(
            "Teacher",
            (0.995, teacher.value),
            xycoords=("axes fraction", "data"),
            xytext=(0, 5),
            textcoords="offset points",
            ha="right",
            color=quiet,
        )
        for label in METHODS.split(","):
            row = table[label]
            x, y = interval(row, FIDELITY), interval(row, QUALITY)
            colour = colours.get(label, colours[""])
            axes.plot([x.low, x.high], [y.value] * 2, color=colour, linewidth=1.2, alpha=0.45)
            axes.plot([x.value] * 2, [y.low, y.high], color=colour, linewidth=1.2, alpha=0.45)
            axes.plot(x.value, y.value, "o", color=colour, markersize=7)
            place = PLACES.get(label, (8, 6))
            axes.annotate(
                label,
                (x.value, y.value),
                xytext=place,
                textcoords="offset points",
                ha="left" if place[0] > 0 else "right",
                color=colour,
                fontweight="bold",
                fontsize=10,
                arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.6, "shrinkB": 4}
                if abs(place[1]) > FAR
                else None,
            )
        axes.margins(x=0.1, y=0.05)
        picture = io.BytesIO()
        metadata = {
            "Date": None,
            "Title": "Quality against fidelity",
            "Description": description(table),
        }
        figure.savefig(picture, format="svg", transparent=True, metadata=metadata)
    return picture.getvalue()


if __name__ == "__main__":
    measured = rows()
    for name in THEMES:
        (HERE / f"quality-fidelity-{name}.svg").write_bytes(draw(name, measured))
