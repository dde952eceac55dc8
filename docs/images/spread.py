"""Draw how far papers disagree: the scores that sources give for one method of one pair.

    python docs/images/spread.py

It writes one SVG for light pages and one for dark pages next to this file, and the table in
docs/published.md, from baselines/published.yaml. Equal numbers give equal bytes.
"""

import io
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from kdbench.tables.spread import ScoreSpread, spread_markdown, spreads
from kdbench.tables.write import whole_file
from kdbench.task import TITLES

HERE = Path(__file__).parent
SETTING = "gpt2-xl-to-gpt2-base"
TASKS = ("dolly", "super_natural", "unnatural")
LEAST_SOURCES = 3
# Text, secondary text, grid, and the colours of the teacher and the methods.
THEMES = {
    "light": ("#1f2328", "#59636e", "#d1d9e0", "#59636e", "#0072B2"),
    "dark": ("#f0f6fc", "#9198a1", "#3d444d", "#9198a1", "#56B4E9"),
}


def shown() -> dict[str, dict[str, ScoreSpread]]:
    """The spreads by method and task: the teacher first, then by growing mean range."""
    by_method: dict[str, dict[str, ScoreSpread]] = {}
    for spread in spreads(least_sources=LEAST_SOURCES):
        if spread.setting_id == SETTING and spread.column in TASKS:
            by_method.setdefault(spread.method, {})[spread.column] = spread
    whole = {method: found for method, found in by_method.items() if len(found) == len(TASKS)}
    ranges = {m: sum(spread.range for spread in found.values()) for m, found in whole.items()}
    return {m: whole[m] for m in sorted(whole, key=lambda m: (m != "Teacher", ranges[m]))}


def description() -> str:
    """The plotted numbers in words, which the pictures carry as their description."""
    return "; ".join(
        f"{method}: "
        + ", ".join(f"{TITLES[task]} {s.low:.2f} to {s.high:.2f}" for task, s in found.items())
        for method, found in shown().items()
    )


def draw(theme: str) -> bytes:
    """The picture as SVG."""
    ink, quiet, grid, grey, blue = THEMES[theme]
    settings: Any = {
        "svg.hashsalt": "kdbench",
        "svg.fonttype": "path",
        "font.family": "DejaVu Sans",
        "font.size": 10,
        "text.color": ink,
        "axes.labelcolor": ink,
        "axes.edgecolor": grid,
        "xtick.color": quiet,
        "ytick.color": ink,
    }
    methods = shown()
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(settings)
        figure = Figure(figsize=(8, 0.9 + 0.33 * len(methods)), layout="constrained")
        panels = figure.subplots(1, len(TASKS), sharey=True)
        for axes, task in zip(panels, TASKS, strict=True):
            axes.spines[["top", "right", "left"]].set_visible(False)
            axes.grid(axis="x", color=grid, linewidth=0.6)
            axes.set_axisbelow(True)
            axes.set_title(TITLES[task], fontsize=10)
            axes.set_xlabel("ROUGE-L")
            axes.tick_params(length=0)
            for place, (method, found) in enumerate(methods.items()):
                colour = grey if method == "Teacher" else blue
                spread = found[task]
                axes.plot([spread.low, spread.high], [place] * 2, color=colour, linewidth=1.6)
                axes.plot(spread.scores, [place] * len(spread.scores), "o", color=colour, ms=5)
                axes.annotate(
                    f"{spread.range:.1f}",
                    (spread.high, place),
                    xytext=(6, 0),
                    textcoords="offset points",
                    va="center",
                    color=quiet,
                    fontsize=8.5,
                )
            axes.margins(x=0.16)
        panels[0].set_yticks(range(len(methods)), list(methods))
        panels[0].invert_yaxis()
        picture = io.BytesIO()
        metadata = {"Date": None, "Title": "How far papers disagree", "Description": description()}
        figure.savefig(picture, format="svg", transparent=True, metadata=metadata)
    return picture.getvalue()


if __name__ == "__main__":
    for name in THEMES:
        (HERE / f"spread-{name}.svg").write_bytes(draw(name))
    page = HERE.parent / "published.md"
    page.write_text(whole_file(page, "md", spread_markdown(), "spread"), encoding="utf-8")
