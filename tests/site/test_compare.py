"""The page Compare shows what `kdbench compare` computes, for all pairs or against the base."""

import json
import math

import pytest
from made_runs import put_run

import kdbench
from kdbench.config import ReportSettings
from kdbench.site import pairs as pairs_module
from kdbench.site.compare import compare_page
from kdbench.site.page import value_of
from kdbench.site.pairs import Pairs
from kdbench.site.source import read_source

FIELDS = (
    "task",
    "n",
    "base",
    "new",
    "change",
    "low",
    "high",
    "p",
    "p_adjusted",
    "least",
    "verdict",
)
A = [float(n % 7) for n in range(30)]
B = [score + 2 + n % 3 for n, score in enumerate(A)]


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results"
    loss = {"lm_loss": [score / 10 for score in A]}
    put_run(folder, "a", {"dolly": A, "vicuna": A}, more=loss, samples=True)
    put_run(folder, "b", {"dolly": B, "vicuna": A[::-1]}, more={"lm_loss": [0.1] * 30})
    return folder


def data_of(results, **keys):
    page = compare_page(read_source(ReportSettings(results=results, **keys)))
    return {name: json.loads(json.dumps(value_of(value))) for name, value in page.data.items()}


def rows_of(data, base, new, metric):
    compared = data[data["compare"]["bases"][base]][new]["rows"][metric]
    return [dict(zip(FIELDS, row, strict=True)) for row in compared]


@pytest.mark.parametrize("metric", ["rougeL", "lm_loss"])
@pytest.mark.parametrize(("base", "new"), [("a", "b"), ("b", "a")])
def test_rows_are_those_of_kdbench_compare(metric, base, new, results):
    names = [str(results / model / "run-1") for model in (base, new)]
    expected = kdbench.compare(base=names[0], new=names[1], tolerance=f"{metric}:0")
    found = rows_of(data_of(results), f"{base}/run-1", f"{new}/run-1", metric)
    assert len(found) == len(expected.rows) == 3
    for shown, row in zip(found, expected.rows, strict=True):
        for field in FIELDS:
            value = getattr(row, field)
            assert shown[field] == (pytest.approx(value, abs=1e-6) if value != row.task else value)


def test_prompts_have_the_scores_of_every_run(results):
    data = data_of(results)
    scores = data[data["compare"]["scores"]["dolly\nrougeL"]]
    assert scores["ids"] == [f"dolly-{n}" for n in range(30)]
    assert scores["runs"] == {"a/run-1": A, "b/run-1": B}


def test_prompts_are_matched_by_id_and_a_missing_score_is_null(results):
    put_run(results, "c", {"dolly": [None, 5.0]})
    scores = (data := data_of(results))[data["compare"]["scores"]["dolly\nrougeL"]]
    assert scores["runs"]["c/run-1"] == [None, 5.0, *[None] * 28]


def test_runs_of_different_prompts_are_not_compared_and_the_reason_is_given(results):
    put_run(results, "c", {"dolly": A}, prompts="others")
    data = data_of(results)
    compared = data[data["compare"]["bases"]["a/run-1"]]["c/run-1"]
    assert compared["rows"] == {}
    assert compared["problems"] == [
        "dolly: prompts_sha256 differs: same in the base, others in the new run"
    ]


def test_one_task_that_differs_does_not_hide_the_others(results):
    put_run(results, "c", {"vicuna": B})
    put_run(results, "c2", {"dolly": A[:3]})
    data = data_of(results)
    assert [row["task"] for row in rows_of(data, "a/run-1", "c/run-1", "rougeL")] == ["vicuna"]
    (row,) = rows_of(data, "a/run-1", "c2/run-1", "rougeL")
    assert (row["n"], row["low"], row["verdict"]) == (3, None, "inconclusive")


def test_a_task_without_numbers_does_not_hide_the_others(results):
    put_run(results, "c", {"dolly": [None] * 30, "vicuna": B})
    data = data_of(results)
    assert [row["task"] for row in rows_of(data, "a/run-1", "c/run-1", "rougeL")] == ["vicuna"]
    (problem,) = data[data["compare"]["bases"]["a/run-1"]]["c/run-1"]["problems"]
    assert problem.startswith("dolly: no prompt has rougeL in both runs")


def test_many_runs_are_compared_with_the_base_only(results, monkeypatch):
    put_run(results, "c", {"dolly": A})
    source = read_source(ReportSettings(results=results, baseline="b"))
    assert len(Pairs(source, ("rougeL",)).folders) == 6
    monkeypatch.setattr(pairs_module, "_MOST_WORK", 6 * 60 - 1)  # pairs times prompts
    pairs = Pairs(source, ("rougeL",))
    assert pairs.folders == [("b/run-1", "a/run-1"), ("b/run-1", "c/run-1")]
    page = compare_page(source)
    assert "so each run is compared with b" in str(page.html)
    assert list(value_of(page.data["compare"])["bases"]) == ["b/run-1"]
    # So many prompts that the base's pairs alone take too long: 2 pairs, 60 prompts, 3 metrics.
    monkeypatch.setattr(pairs_module, "_MOST_WORK", 2 * 60 * 3 - 1)
    assert Pairs(source, ("rougeL", "lm_loss", "x")).compared_metrics == ("rougeL", "lm_loss")
    monkeypatch.setattr(pairs_module, "_MOST_WORK", 2 * 60 * 3)
    assert len(Pairs(source, ("rougeL", "lm_loss", "x")).compared_metrics) == 3


def test_the_page_says_what_to_do_with_a_single_run(tmp_path):
    put_run(tmp_path, "a", {"dolly": A})
    page = compare_page(read_source(ReportSettings(results=tmp_path)))
    assert "fewer than two runs" in str(page.html)
    assert (page.data, page.scripts) == ({}, ())


def test_metrics_without_a_better_direction_are_not_compared(results):
    put_run(results, "c", {"dolly": A}, more={"response_length": A})
    names = [metric["name"] for metric in data_of(results)["compare"]["metrics"]]
    assert names == ["rougeL", "lm_loss"]


def test_without_scripts_the_base_is_compared_in_the_score(results):
    html = str(compare_page(read_source(ReportSettings(results=results, baseline="a"))).html)
    change = sum(new - old for new, old in zip(B, A, strict=True)) / 30
    assert f"+{change:.2f} [" in html
    assert "improved" in html
    assert not math.isnan(change)


def test_only_runs_with_samples_lead_to_them(results):
    runs = data_of(results)["compare"]["runs"]
    assert {run["run"]: run["samples"] for run in runs} == {
        "a/run-1": ["dolly", "vicuna"],
        "b/run-1": [],
    }
