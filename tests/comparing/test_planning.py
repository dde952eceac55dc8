"""How many prompts and seeds a gate needs."""

from pathlib import Path

import numpy as np
import pytest
from gate_runs import Put
from scipy import stats

import kdbench
from kdbench.errors import InputError

N = 4000


def scores(noise: float, seed: int, of_prompts: float = 0.0) -> dict[str, dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    prompts = np.random.default_rng(99).normal(20, 5, (N, 1)) + rng.normal(0, of_prompts, (N, 1))
    return {"dolly": {"rougeL": (prompts + rng.normal(0, noise, (N, 2))).round(6)}}


def test_one_run_shows_the_noise_of_sampling(put: Put, tmp_path: Path) -> None:
    put("a", scores(6, 1), texts="x")
    plan = kdbench.plan(run="a", tolerance="0.5", results=tmp_path / "results", seeds="1,4")
    (row,) = plan.rows
    z = stats.norm.isf(0.025) + stats.norm.ppf(0.8)
    for seeds in (1, 4):
        wanted = z**2 * 2 * 6**2 / seeds / 0.5**2
        assert row.prompts[seeds] == pytest.approx(wanted, rel=0.05)
        assert row.sees[seeds] == pytest.approx(0.5 * (wanted / N) ** 0.5, rel=0.05)
    assert "From one run" in str(plan)
    assert str(plan).splitlines()[2].split() == [
        "task", "metric", "prompts", "tolerance", "1", "seed", "4", "seeds",
    ]  # fmt: skip


def test_two_runs_show_the_variance_that_more_seeds_do_not_reduce(put: Put, tmp_path: Path) -> None:
    put("a", scores(6, 1), texts="x")
    put("b", scores(6, 2, of_prompts=3), texts="x")
    plan = kdbench.plan(run="a", against="b", results=tmp_path / "results", seeds="1,1000000")
    z = stats.norm.isf(0.025) + stats.norm.ppf(0.8)
    (row,) = plan.rows
    assert row.prompts[1] == pytest.approx(z**2 * (9 + 72) / 0.25, rel=0.05)
    assert row.prompts[1_000_000] == pytest.approx(z**2 * 9 / 0.25, rel=0.25)
    assert "From one run" not in str(plan)


def test_a_gate_of_the_planned_size_has_the_planned_power(put: Put, tmp_path: Path) -> None:
    put("a", scores(6, 1), texts="x")
    plan = kdbench.plan(run="a", tolerance="1", results=tmp_path / "results", seeds="2")
    n = plan.rows[0].prompts[2]
    assert n < N
    seen = [
        stats.ttest_1samp(np.random.default_rng(i).normal(-1, 6, n), 0).pvalue < 0.05
        for i in range(400)
    ]
    assert np.mean(seen) == pytest.approx(0.8, abs=0.07)


def test_what_a_plan_needs(put: Put, tmp_path: Path) -> None:
    put("a", scores(6, 1))
    results = tmp_path / "results"
    with pytest.raises(
        InputError, match="a: a plan needs samples with rougeL of 'dolly' for at least two"
    ):
        kdbench.plan(run="a", results=results)
    with pytest.raises(InputError, match="a has no score per prompt of this metric for 'dolly'"):
        kdbench.plan(run="a", results=results, tolerance="empty:0")
    with pytest.raises(InputError, match="seeds="):
        kdbench.plan(run="a", results=results, seeds="0")
    put("b", scores(6, 1), {"task_version": "2"}, texts="x")
    with pytest.raises(InputError, match="task_version differs"):
        kdbench.plan(run="a", against="b", results=results)
