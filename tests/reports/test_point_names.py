"""Names of points stand next to their own points."""

from math import hypot

import numpy as np
import pytest

from kdbench.reports.point_names import draw_names
from kdbench.reports.style import drawing
from kdbench.store.conclusions import Panel, PanelCurve


def drawn(xs: tuple[float, ...], ys: tuple[float, ...]) -> tuple[dict[str, tuple], np.ndarray]:
    """The box of each name that was drawn, and the places of the points, in pixels."""
    names = tuple(f"method {number}" for number in range(len(xs)))
    curve = PanelCurve(label="methods", x=xs, y=ys, joined=False, names=names)
    panel = Panel(title="t", x_label="x", y_label="y", curves=(curve,))
    with drawing():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(4, 3))
        axes = figure.subplots()
        axes.plot(xs, ys, "o")
        draw_names(figure, [(panel, axes)], {"methods": "black"})
        boxes = {text.get_text(): text.get_window_extent().extents for text in axes.texts}
        return boxes, axes.transData.transform(list(zip(xs, ys, strict=True)))


def distance(box: tuple, point: np.ndarray) -> float:
    x0, y0, x1, y1 = box
    return hypot(max(x0 - point[0], 0, point[0] - x1), max(y0 - point[1], 0, point[1] - y1))


@pytest.mark.parametrize("seed", range(5))
def test_no_name_can_be_read_as_that_of_another_point(seed: int) -> None:
    places = np.random.default_rng(seed).normal(size=(30, 2))
    boxes, points = drawn(tuple(places[:, 0]), tuple(places[:, 1]))
    assert len(boxes) > 5
    for name, box in boxes.items():
        distances = [distance(box, point) for point in points]
        own = distances.pop(int(name.removeprefix("method ")))
        assert own * 1.4 < min(distances)


def test_points_with_room_have_their_names() -> None:
    boxes, _ = drawn((0, 1, 2, 3), (0, 3, 1, 2))
    assert set(boxes) == {"method 0", "method 1", "method 2", "method 3"}


def test_points_at_one_place_both_have_their_names() -> None:
    boxes, _ = drawn((0, 1, 1), (0, 1, 1))
    assert {"method 0", "method 1", "method 2"} == set(boxes)
