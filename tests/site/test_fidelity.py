"""The data of the page Fidelity are the report's numbers, unchanged, and names are not markup."""

import json

import pytest
from made_runs import put_run

from kdbench.config import ReportSettings
from kdbench.reports.answers import band_edges
from kdbench.site.fidelity import fidelity_data, fidelity_page
from kdbench.site.source import read_source

TEACHER = {"name": "big", "sha256": "teacher", "top_k": None}
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def results(tmp_path):
    """Gains of 10, 20 and 0 points, and changes of 0.1, 0.1 and 0.1."""
    for model, method, scores, accepted in (
        ("sft", "SFT", [10, 20, 30], [0.5, 0.6, 0.7]),
        ("kd", HOSTILE, [20, 40, 30], [0.6, 0.7, 0.8]),
    ):
        more = {"acceptance@student": accepted}
        put_run(tmp_path, model, {"dolly": scores}, more=more, teacher=TEACHER, method=method)
    return tmp_path


def source_of(results, **settings):
    return read_source(ReportSettings(results=results, **settings))


def test_points_hold_gain_and_change_as_computed_by_hand(results):
    findings = source_of(results, baseline="SFT").figures.findings
    data = json.loads(json.dumps(fidelity_data(findings)))
    labels = [student["label"] for student in data["students"]]
    (point,) = (p for p in data["points"] if labels[p["student"]].startswith("<img"))
    assert point["gain"][0] == pytest.approx(10)
    assert point["change"][0] == pytest.approx(0.1)
    assert point["quadrant"] is None  # three prompts are too few
    assert point["gain"][3] == 3  # prompts
    assert data["baseline"] == "SFT (sft)"
    assert data["students"][point["student"]]["run"] == "kd/run-1"
    assert data["tasks"] == [{"name": "dolly", "title": "Dolly"}]


def test_the_page_lists_correlations_and_quadrants_and_escapes_names(results):
    page = fidelity_page(source_of(results, baseline="SFT"))
    assert "faithful gain 0, unfaithful gain 0, faithful loss 0, unfaithful loss 0" in page.html
    assert "not certain 1." in page.html
    assert "fewer than 12 runs" in page.html
    assert "<img" not in page.html
    assert page.libraries  # loaded only when the page is shown


def test_without_a_comparison_the_page_names_the_command(tmp_path):
    put_run(tmp_path, "sft", {"dolly": [1, 2]})
    page = fidelity_page(source_of(tmp_path))
    assert "kdbench eval model=path/to/student teacher=path/to/teacher" in page.html
    assert (page.scripts, page.data) == ((), {})


@pytest.mark.parametrize("teacher", [0.0, 0.3, 0.5, 1.0])
def test_agreement_of_made_answers_lies_within_the_edges_of_the_band(teacher):
    import numpy as np

    edges = np.array(band_edges(teacher))
    rng = np.random.default_rng(0)
    for _ in range(200):
        right, accuracy = rng.random(1000) < teacher, rng.random()
        also_right = rng.permutation(np.arange(1000) < accuracy * 1000)
        same = np.where(right | also_right, right & also_right, rng.random(1000) < 0.5)
        low = np.interp(also_right.mean(), edges[:, 0], edges[:, 1])
        high = np.interp(also_right.mean(), edges[:, 0], edges[:, 2])
        slack = abs(right.mean() - teacher) + 1e-9
        assert low - slack <= same.mean() <= high + slack
