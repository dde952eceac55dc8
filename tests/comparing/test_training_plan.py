"""How many training seeds a difference needs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gate_runs import Put
from scipy import stats
from scipy.optimize import brentq

import kdbench
from kdbench.comparing.pairing import PairedScores
from kdbench.comparing.training import training_test
from kdbench.comparing.training_plan import TrainingPlan
from kdbench.errors import InputError
from kdbench.stats.paired import POWER
from kdbench.stats.variances import variances

TRAINING = {
    **dict.fromkeys(("samples", "seconds", "student_tokens", "teacher_tokens")),
    "method": "gkd",
    "recipe": "r",
}


def draw(rng: np.random.Generator, trained: int, mean: float = 0.0, n: int = 60) -> np.ndarray:
    """Differences by training and prompt, of three components that are known."""
    return (
        mean
        + rng.normal(0, 0.5, (trained, 1, 1))
        + rng.normal(0, 2, (1, 1, n))
        + rng.normal(0, 3, (trained, 1, n))
    )


@pytest.mark.parametrize("trained", [3, 5, 10])
def test_the_smallest_difference_is_detected_as_often_as_planned(trained: int) -> None:
    rng, trials = np.random.default_rng(1), 800
    pilots = [variances([draw(rng, 30)]).with_trainings(trained) for _ in range(40)]
    change = float(np.mean([pilot.detectable(0.05, POWER) for pilot in pilots]))
    seen = sum(
        variances([draw(rng, trained, change)]).test.p_value() <= 0.05 for _ in range(trials)
    )
    assert seen / trials == pytest.approx(POWER, abs=0.06)


def test_the_variances_of_one_recipe_give_those_of_a_difference() -> None:
    rng = np.random.default_rng(2)
    recipes = [draw(rng, 200, n=50) for _ in range(2)]
    planned = variances(recipes[:1]).of_difference()
    # Without what differs between the prompts of the two recipes, which one alone cannot show.
    actual = variances([(recipes[0] - recipes[0].mean(0)) - (recipes[1] - recipes[1].mean(0))])
    assert planned.training == pytest.approx(actual.training, rel=0.15)
    assert planned.parts[0].rest == pytest.approx(actual.parts[0].rest, rel=0.05)
    assert planned.prompts == 0


def test_the_prompts_needed_are_those_at_which_the_tolerance_is_seen() -> None:
    gaps = draw(np.random.default_rng(3), 6)[:, 0, :]
    means = gaps.mean(axis=0)
    paired = PairedScores(tuple(map(str, range(60))), 0 * means, means, 0, None, gaps)
    test = training_test([paired], 1)
    assert test is not None
    assert test.variances is not None
    now = test.variances.with_trainings(6).detectable(0.05, POWER)
    assert test.needed(now, 0.05) == pytest.approx(60, abs=1)
    limit = test.variances.with_trainings(6, 1e9).detectable(0.05, POWER)
    assert limit == pytest.approx(
        test.variances.training / 6**0.5 * stats_detectable(5), rel=1e-3
    )  # only the trainings are left
    assert test.needed(0.99 * limit, 0.05) is None
    needed = test.needed((now + limit) / 2, 0.05)
    assert needed is not None
    assert 60 < needed < 10_000


def stats_detectable(freedom: float) -> float:
    """The change that a t test detects, in standard errors, by solving for its power."""
    critical = stats.t.isf(0.025, freedom)
    return float(brentq(lambda c: stats.nct.sf(critical, freedom, c) - POWER, 0, 50))


def put_recipe(put: Put, label: str, seeds: int, quality: float, rng: int) -> None:
    draws = np.random.default_rng(rng)
    for seed in range(seeds):
        values = draws.normal(quality + draws.normal(0, 1), 5, (50, 2)).round(4)
        scores = {task: {"rougeL": values} for task in ("dolly", "vicuna")}
        put(f"{label} {seed}", scores, method=label, training={**TRAINING, "seed": seed})


@pytest.fixture
def runs(put: Put, tmp_path: Path) -> dict[str, Any]:
    put_recipe(put, "SFT", 3, 50, 0)
    put_recipe(put, "GKD", 3, 52, 1)
    return {"results": tmp_path / "results", "gates": tmp_path / "gates"}


def test_the_plan_of_two_recipes(runs: dict[str, Any]) -> None:
    plan = kdbench.plan(run="SFT", against="GKD", tolerance="rougeL:4", **runs)
    assert isinstance(plan, TrainingPlan)
    assert [row.task for row in plan.rows] == ["dolly", "vicuna", "AVG"]
    for row in plan.rows:
        sizes = list(row.sees.values())
        assert list(row.sees) == [2, 3, 5, 10]
        assert sizes == sorted(sizes, reverse=True)
        assert sizes[-1] > row.limit
        assert row.needed is not None
        few = kdbench.plan(
            run="SFT", against="GKD", tolerance="4", train_seeds=(row.needed,), **runs
        )
        assert isinstance(few, TrainingPlan)
        assert few.rows[0].sees[row.needed] <= 4 or row.task != "dolly"
    assert "GKD (3 training seeds: 0, 1, 2) against SFT (3 training seeds: 0, 1, 2)" in str(plan)
    assert "0.5 to 6.3 times" in str(plan)


def test_where_prompts_are_too_few_the_plan_says_so(runs: dict[str, Any]) -> None:
    plan = kdbench.plan(run="SFT", against="GKD", tolerance="rougeL:0.01", **runs)
    assert isinstance(plan, TrainingPlan)
    assert all(row.needed is None for row in plan.rows)
    assert "more prompts (these see " in str(plan)
    zero = kdbench.plan(run="SFT", tolerance="rougeL:0", **runs)
    assert "a tolerance above 0" in str(zero)
    assert "From one recipe, the plan assumes" in str(zero)


def test_a_recipe_and_a_checkpoint_make_no_plan(runs: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"against=GKD 1: SFT is a recipe of 3 training seeds and"):
        kdbench.plan(run="SFT", against="GKD 1", **runs)
    with pytest.raises(InputError, match="train_seeds"):
        kdbench.plan(run="SFT", train_seeds=(1,), **runs)
    with pytest.raises(InputError, match="has no score per prompt of this metric"):
        kdbench.plan(run="SFT", tolerance="nothing:1", **runs)
