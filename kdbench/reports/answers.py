"""Pictures of final answers: agreement within its band, and who is right."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kdbench.reports.marks import Mark, draw_point, marks, method_labels
from kdbench.reports.model import AnswerShares, BandPoint, Findings
from kdbench.reports.panels import left_label, legend, panels, short, title_of
from kdbench.reports.style import GREY, Picture, drawing, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BAND = "#BFD7EA"
_SHARES = {  # label and colour
    "rr": ("both right (RR)", "#0072B2"),
    "wws": ("both wrong, same answer (WWs)", "#56B4E9"),
    "wr": ("only the student right (WR)", "#009E73"),
    "rw": ("only the teacher right (RW)", "#E69F00"),
    "wwd": ("both wrong, different answers (WWd)", "#C8C8C8"),
}
_WHITE_FIGURES = {"rr"}  # shares whose colour is dark enough for white figures


def draw_band(findings: Findings) -> Picture:
    """Draw a panel for each task: agreement against accuracy, and the band of what is possible."""
    tasks = list(dict.fromkeys(point.task for point in findings.band))
    by_method = marks(findings.students)
    with drawing():
        figure, all_axes = panels(len(tasks), height=2.8 if len(tasks) > 2 else 3.3)
        for axes, task in zip(all_axes, tasks, strict=True):
            axes.set_title(title_of(task))
            _band_panel(axes, [point for point in findings.band if point.task == task], by_method)
        figure.supxlabel("accuracy of the student", fontsize=10)
        left_label(all_axes, "agreement with the teacher")
        _band_legend(figure, findings, by_method)
        return picture(figure)


def _band_panel(axes: "Axes", points: Sequence[BandPoint], by_method: Mapping[str, Mark]) -> None:
    teacher = sum(point.teacher_accuracy for point in points) / len(points)
    accuracies, low, high = zip(*band_edges(teacher), strict=True)
    axes.fill_between(accuracies, low, high, color=_BAND, linewidth=0, zorder=0)
    axes.plot([0, 1], [0, teacher], color="black", linestyle=":", linewidth=1.3, zorder=1)
    ceilings = [point.ceiling for point in points if point.ceiling is not None]
    if ceilings:
        axes.axhline(max(ceilings), color=GREY, linestyle="--", linewidth=1, zorder=1)
    axes.axvline(teacher, color=GREY, linewidth=0.8, zorder=1)
    for point in points:
        mark = by_method[point.student.method]
        draw_point(axes, point.accuracy, point.agreement, mark, size=70)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_aspect("equal")
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", ".25", ".5", ".75", "1"])
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", ".25", ".5", ".75", "1"])


def band_edges(teacher: float) -> list[tuple[float, float, float]]:
    """Accuracies of a student where the band bends, with the least and the most agreement there.

    Args:
        teacher: Accuracy of the teacher.
    """
    return [
        (accuracy, max(0.0, teacher + accuracy - 1), 1 - abs(teacher - accuracy))
        for accuracy in (0.0, *sorted({teacher, 1 - teacher}), 1.0)
    ]


def _band_legend(figure: "Figure", findings: Findings, by_method: Mapping[str, Mark]) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    methods = method_labels(point.student for point in findings.band)
    handles: list[Any] = [
        Line2D([], [], linestyle="", marker=by_method[name].marker, color=by_method[name].colour)
        for name in methods
    ]
    handles += [
        Patch(color=_BAND),
        Line2D([], [], color="black", linestyle=":", linewidth=1.3),
        Line2D([], [], color=GREY, linewidth=0.8),
    ]
    labels = [
        *methods.values(),
        "allowed by the two accuracies",
        "independent, wrong answers never match",
        "accuracy of the teacher",
    ]
    if any(point.ceiling is not None for point in findings.band):
        handles.append(Line2D([], [], color=GREY, linestyle="--", linewidth=1))
        labels.append("agreement of the teacher with itself")
    legend(figure, handles, labels)


def draw_cells(findings: Findings) -> Picture:
    """Draw a stacked bar for each task and run; its blue part is agreement."""
    tasks = list(dict.fromkeys(shares.task for shares in findings.cells))
    bars = {task: [bar for bar in findings.cells if bar.task == task] for task in tasks}
    height = 0.5 + 0.32 * max(map(len, bars.values()))
    with drawing():
        figure, all_axes = panels(len(tasks), columns=1, height=height, sharex=True)
        figure.set_figwidth(9)
        for axes, task in zip(all_axes, tasks, strict=True):
            axes.set_title(title_of(task), loc="left")
            _cells_panel(axes, bars[task])
        tested = "; p: McNemar's test of green against orange" * any(
            b.p is not None for b in findings.cells
        )
        figure.supxlabel(f"share of answers; blue is agreement{tested}", fontsize=10)
        _cells_legend(figure)
        return picture(figure)


def _cells_panel(axes: "Axes", bars: Sequence[AnswerShares]) -> None:
    for row, bar in enumerate(bars):
        start = 0.0
        for name, (_, colour) in _SHARES.items():
            share = getattr(bar, name)
            axes.barh(row, share, left=start, color=colour, edgecolor="white", height=0.78)
            if share >= 0.04:  # else the figure does not fit
                axes.text(
                    start + share / 2,
                    row,
                    f"{share:.2f}".lstrip("0"),
                    ha="center",
                    va="center",
                    fontsize=8.5,
                    color="white" if name in _WHITE_FIGURES else "black",
                )
            start += share
        if bar.p is not None:
            axes.text(1.01, row, _p_text(bar.p), ha="left", va="center", fontsize=8.5)
    axes.set_yticks(range(len(bars)), [short(bar.student.label, 28) for bar in bars])
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)


def _p_text(p: float) -> str:
    if p >= 0.9995:
        return "p = 1"
    return "p < .001" if p < 0.001 else f"p = {p:.3f}".replace("0.", ".", 1)


def _cells_legend(figure: "Figure") -> None:
    from matplotlib.patches import Patch

    handles = [Patch(color=colour) for _, colour in _SHARES.values()]
    legend(figure, handles, [label for label, _ in _SHARES.values()])
