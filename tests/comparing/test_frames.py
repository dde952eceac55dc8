"""Comparisons and plans as data frames, and in a notebook."""

import json

import numpy as np
import pandas as pd
import pytest
from gate_runs import noisy

import kdbench

HOSTILE = "<script>x</script>"


@pytest.fixture
def runs(put, tmp_path):
    base = noisy(40, 20.0, seed=1, spread=3.0)
    new = (base - 4 + noisy(40, 0.0, seed=2)).round(4)
    short = {"rougeL": noisy(12, 50.0)}
    return [
        put("old", {"dolly": {"rougeL": base}, "vicuna": short}, texts="a"),
        put("new", {"dolly": {"rougeL": new}, "vicuna": short}, texts="b"),
    ]


def test_a_comparison_has_a_row_for_each_task_with_the_means_of_the_files(runs):
    comparison = kdbench.compare(*runs)
    frame = comparison.to_pandas()
    assert frame.task.tolist() == ["dolly", "vicuna", "AVG"]
    for row in frame[:2].itertuples():
        means = [
            np.mean(json.loads((run / f"{row.task}.json").read_text())["documents"]["rougeL"])
            for run in runs
        ]
        assert [row.base, row.new] == pytest.approx(means, abs=1e-5)
        assert row.change == pytest.approx(row.new - row.base)
    assert frame.verdict[0] == "regressed"
    assert frame.n.tolist() == [40, 12, 52]
    assert frame.category.isna().all()
    assert str(frame.needed.dtype) == "Int64"
    assert (frame.low <= frame.change).all()
    assert (frame.change <= frame.high).all()


def test_a_comparison_shows_itself_in_one_line_and_as_a_table(runs, put):
    comparison = kdbench.compare(*runs)
    assert repr(comparison).startswith("Comparison(")
    assert len(repr(comparison)) < 300
    assert str(comparison.decision) in repr(comparison)
    html = comparison._repr_html_()
    assert html.count("<tr>") == 4
    assert "regressed" in html
    problem = put("other", {"dolly": {"rougeL": noisy(9, 1.0)}})
    html = kdbench.compare(runs[0], problem)._repr_html_()
    assert "NO VERDICT" in html


def test_a_plan_has_a_row_for_each_task_and_number_of_seeds(runs):
    plan = kdbench.plan(runs[0], against=runs[1], seeds=(1, 2))
    frame = plan.to_pandas()
    assert list(zip(frame.task, frame.seeds, strict=True)) == [
        (task, seeds) for task in ("dolly", "vicuna", "AVG") for seeds in (1, 2)
    ]
    rows = {row.task: row for row in plan.rows}
    for row in frame.itertuples():
        assert row.sees == rows[row.task].sees[row.seeds]
        prompts = rows[row.task].prompts[row.seeds]
        assert pd.isna(row.prompts) if prompts is None else row.prompts == prompts
    assert repr(plan) == str(plan).rstrip("\n")
    html = plan._repr_html_()
    assert "2 seeds" in html
    assert html.count("<tr>") == 4
