"""The page Frontier: it has the stored numbers, and is absent where nothing is stored."""

import pytest
from browser import THEMES, WIDTHS, findings, page_names
from made_frontiers import put_student
from made_runs import put_run

from kdbench.config import ReportSettings
from kdbench.errors import InputError
from kdbench.frontiers.conclude import conclude
from kdbench.site import make_report
from kdbench.site.frontier import frontier_page
from kdbench.site.source import read_source
from kdbench.store.frontiers import frontier_file, write_frontier

HOSTILE = 'GKD <b>&"x"'


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Two rows of a table, and the curves of four students."""
    results = tmp_path_factory.mktemp("results")
    for name, score in (("SFT", 50.0), ("Better", 53.0)):
        put_run(results, name, {"dolly": [score, score + 1, score + 3]})
    students = [
        put_student(results, "SFT", seeds=(1, 2, 3)),
        put_student(results, "Sharper", sharper=1.3),
        put_student(results, "Better", gain=3),
        put_student(results, "Far", {0.5: 5.0, 1.0: 6.0, 1.5: 7.0}),
    ]
    record = conclude("students", students, None, results / "frontier")
    named = [
        s.model_copy(update={"label": HOSTILE}) if s.label == "Better" else s
        for s in record.students
    ]
    write_frontier(results, record.model_copy(update={"students": tuple(named)}))
    return results


def source_of(results):
    return read_source(ReportSettings(results=results))


def test_the_page_has_the_gains_and_says_where_curves_lie(results):
    page = frontier_page(source_of(results))
    assert page is not None
    text = str(page.html)
    assert "GKD &lt;b&gt;&amp;&#34;x&#34;" in text
    assert '<td class="text">above the baseline&#39;s curve</td>' in text
    assert "no range in common" in text
    assert "a single training" in text
    data = page.data["frontier"]()
    assert data["baseline"] == "SFT"
    better = next(student for student in data["students"] if student["label"] == HOSTILE)
    value, low, high = better["gain"]
    assert low < value < high
    assert value == pytest.approx(3, abs=0.5)
    assert [point[0] for point in better["points"]] == [0.5, 1.0, 1.5]
    far = next(student for student in data["students"] if student["label"] == "Far")
    assert far["gain"] is None


def test_runs_of_the_frontier_are_on_no_other_page(results):
    assert [run.folder for run in source_of(results).runs] == ["Better/run-1", "SFT/run-1"]


def test_without_a_stored_frontier_there_is_no_page(results, tmp_path):
    put_run(tmp_path, "SFT", {"dolly": [1.0, 2.0]})
    assert frontier_page(source_of(tmp_path)) is None
    frontier_file(tmp_path).parent.mkdir()
    frontier_file(tmp_path).write_text("{}")
    with pytest.raises(InputError, match=r"frontier\.json: damaged"):
        frontier_page(source_of(tmp_path))


def test_the_page_is_drawn_accessible_and_fits(results, tmp_path, watched):
    make_report(ReportSettings(results=results, out=tmp_path / "site"))
    page = watched.open(tmp_path / "site", "#/frontier")
    assert "frontier" in page_names(page)
    assert page.locator("section.shown figure").count() == 2
    assert page.locator("section.shown figure svg.plot").count() == 2
    watched.isolate()
    for theme in THEMES:
        for width in WIDTHS:
            watched.look(width, theme)
            assert watched.overflow() <= 0, (theme, width)
            assert list(findings(page, contrast=width == 1280)) == [], (theme, width)
