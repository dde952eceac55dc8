"""The page Analyses shows stored answers, and is not there without any."""

from types import SimpleNamespace

import pytest
from made_conclusions import conclusion

from kdbench.errors import InputError
from kdbench.site.analyses import analyses_page
from kdbench.store.conclusions import Panel, PanelCurve, write_conclusion


def source(folder):
    return SimpleNamespace(settings=SimpleNamespace(analyses=folder))


def test_without_answers_there_is_no_page(tmp_path):
    assert analyses_page(source(tmp_path)) is None
    assert analyses_page(source(tmp_path / "none")) is None


def test_the_page_shows_tables_sentences_and_the_numbers_of_the_figure(tmp_path):
    write_conclusion(tmp_path, conclusion())
    page = analyses_page(source(tmp_path))
    assert "Is it &lt;b&gt;so&lt;/b&gt;?" in page.html
    assert "It is not." in page.html
    assert '0.250<small class="error">[0.125, 0.375]</small>' in page.html
    assert "p 0.012" in page.html
    (figure,) = page.data.values()
    curves = figure["panels"][0]["curves"]
    assert curves[0]["points"] == [[1, 1, 0.5, 1.5], [2, 0.5, 0.25, 1.0]]
    assert curves[1]["points"][0] == [1, 2, None, None]
    assert curves[1]["joined"] is False


def test_bars_and_names_are_in_the_numbers_of_the_figure(tmp_path):
    points = PanelCurve(
        label="c", x=(0, 1), y=(1, 2), left=(-1, 0), right=(1, 2), names=("a", ""), joined=False
    )
    part = PanelCurve(label="p", x=(0, 1), y=(1, 1))
    labels = {"title": "t", "x_label": "x", "y_label": "y"}
    crossed = Panel(curves=(points,), crossed=True, **labels)
    bars = Panel(curves=(part,), bars=("first", "second"), **labels)
    write_conclusion(tmp_path, conclusion(panels=(crossed, bars)))
    (figure,) = analyses_page(source(tmp_path)).data.values()
    one, other = figure["panels"]
    assert one["curves"][0]["across"] == [(-1, 1), (0, 2)]
    assert one["curves"][0]["names"] == ("a", "")
    assert one["crossed"] is True
    assert "bars" not in one
    assert other["bars"] == ("first", "second")
    assert not {"across", "names"} & set(other["curves"][0])


def test_an_answer_without_a_figure_loads_no_library(tmp_path):
    write_conclusion(tmp_path, conclusion(panels=()))
    page = analyses_page(source(tmp_path))
    assert page.libraries == page.scripts == ()
    assert "data-figure" not in page.html


def test_a_damaged_answer_is_a_line(tmp_path):
    (tmp_path / "example.json").write_text("{")
    with pytest.raises(InputError, match=r"example\.json"):
        analyses_page(source(tmp_path))
