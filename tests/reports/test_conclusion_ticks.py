"""Logarithmic axes of a conclusion's figure have plain numbers."""

from kdbench.reports.conclusion_figure import draw_conclusion
from kdbench.store.conclusions import Conclusion, Panel, PanelCurve


def test_ticks_of_logarithmic_axes_are_numbers() -> None:
    curve = PanelCurve(label="a", x=(20_000, 900_000), y=(0.15, 30))
    panel = Panel(title="t", x_label="x", y_label="y", curves=(curve,), log_x=True, log_y=True)
    conclusion = Conclusion(
        name="n",
        title="t",
        question="q",
        paper="p",
        basis="b",
        settings={},
        sentences=("s",),
        panels=(panel,),
    )
    svg = draw_conclusion(conclusion).svg.decode()
    assert "mathdefault" not in svg
    for tick in ("50k", "500k", "0.2", "10"):
        assert f">{tick}<" in svg
