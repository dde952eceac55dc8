"""Bars of a conclusion's figure, and names next to its points."""

from kdbench.reports.conclusion_figure import draw_conclusion
from kdbench.store.conclusions import Conclusion, Panel, PanelCurve


def drawn(*panels: Panel) -> str:
    conclusion = Conclusion(
        name="n",
        title="t",
        question="q",
        paper="p",
        basis="b",
        settings={},
        sentences=("s",),
        panels=panels,
    )
    first = draw_conclusion(conclusion).svg
    assert draw_conclusion(conclusion).svg == first
    return first.decode()


def points(x: tuple[float, ...], names: tuple[str, ...]) -> Panel:
    y = (0.5,) * len(x)
    ends = {"low": y, "high": (0.75,) * len(x), "left": x, "right": tuple(of + 1 for of in x)}
    curve = PanelCurve(label="c", x=x, y=y, names=names, joined=False, **ends)
    return Panel(title="t", x_label="x", y_label="y", curves=(curve,), crossed=True)


def test_names_are_next_to_points_and_those_without_one_show_none() -> None:
    named, unnamed = (drawn(points((0, 3), (name, ""))) for name in ("first", ""))
    assert ">first<" in named
    assert named.count("<text") == unnamed.count("<text") + 1


def test_names_without_room_are_left_out() -> None:
    names = tuple(f"point {number}" for number in range(40))
    svg = drawn(points((0.0,) * 40, names))
    shown = [name for name in names if f">{name}<" in svg]
    assert 0 < len(shown) < 10
    assert shown[0] == "point 0"


def bars(count: int) -> Panel:
    parts = tuple(
        PanelCurve(label=label, x=tuple(range(count)), y=(share,) * count)
        for label, share in (("left part", 0.25), ("right part", 0.75))
    )
    names = tuple(f"bar {place}" for place in range(count))
    return Panel(title="t", x_label="share", y_label="", curves=parts, bars=names)


def test_bars_have_names_and_their_parts_are_in_the_legend() -> None:
    svg = drawn(points((0, 1), ("", "")), bars(3))
    for text in ("bar 0", "bar 2", "left part", "right part", "c"):
        assert f">{text}<" in svg
    assert svg.index(">left part<") > svg.index(">bar 2<")  # the legend comes last


def test_many_bars_have_no_names() -> None:
    svg = drawn(bars(41))
    assert ">bar 0<" not in svg
    assert ">left part<" in svg
