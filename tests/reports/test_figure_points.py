"""Points of a figure with their names beside them."""

import re
from itertools import combinations

import pytest
from made_conclusions import conclusion
from pydantic import ValidationError

from kdbench.reports.conclusion_figure import draw_conclusion
from kdbench.reports.figure_points import _RINGS, draw_points, place_names
from kdbench.reports.panels import panels
from kdbench.store.conclusions import (
    Panel,
    PanelCurve,
    PanelPoint,
    read_conclusion,
    write_conclusion,
)

NEAR = tuple(
    PanelPoint(label=f"method {n}", x=1 + n / 20, y=50 + n % 2 / 10, low=49, high=51)
    for n in range(6)
)


def test_names_cover_neither_each_other_nor_points():
    figure, (axes,) = panels(1)
    draw_points(axes, NEAR, "black")
    place_names(figure, [axes], [NEAR])
    renderer = figure._get_renderer()
    boxes = [text.get_window_extent(renderer) for text in axes.texts]
    assert len(boxes) == len(NEAR)
    for one, other in combinations(boxes, 2):
        assert not one.overlaps(other)
    inside = axes.get_window_extent(renderer)
    for box, point in zip(boxes, NEAR, strict=True):
        assert inside.x0 <= box.x0
        assert box.x1 <= inside.x1
        for other in NEAR:
            at = axes.transData.transform((other.x, other.y))
            assert not box.contains(*at)
        x, y = axes.transData.transform((point.x, point.y))
        away = max(box.x0 - x, x - box.x1, box.y0 - y, y - box.y1)
        assert away <= 5.0 * _RINGS * figure.dpi / 72 + 1


def test_a_panel_of_points_is_drawn_stored_and_has_equal_bytes(tmp_path):
    panel = Panel(title="p", x_label="x", y_label="y", points=NEAR, log_x=True)
    made = conclusion(panels=(panel,))
    picture = draw_conclusion(made)
    assert picture.svg == draw_conclusion(made).svg
    for point in NEAR:
        assert re.search(rf">{point.label}</text>", picture.svg.decode())
    assert write_conclusion(tmp_path, made) == made
    assert read_conclusion(tmp_path / "example.json").panels[0].points == NEAR


def test_a_panel_without_points_is_stored_as_before():
    assert "points" not in conclusion().as_json()["panels"][0]


def test_points_that_cannot_be_drawn_are_refused():
    with pytest.raises(ValidationError, match="an interval with one end"):
        PanelPoint(label="a", x=1, y=2, low=1)
    with pytest.raises(ValidationError, match="where no log axis shows it"):
        Panel(
            title="p", x_label="x", y_label="y", points=(PanelPoint(label="a", x=0, y=2),),
            log_x=True,
        )  # fmt: skip
    with pytest.raises(ValidationError, match="neither curves nor points"):
        Panel(title="p", x_label="x", y_label="y")
    curve = PanelCurve(label="a", x=(1,), y=(1,))
    assert Panel(title="p", x_label="x", y_label="y", curves=(curve,)).points == ()
