"""Rows of several training seeds: what is merged, their numbers, and their test."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from kdbench.config import TableSettings
from kdbench.stats.estimates import estimate
from kdbench.stats.variances import variances
from kdbench.store.results import MetricResult, TaskResult
from kdbench.store.runs import StoredRun
from kdbench.tables import build_table
from kdbench.tables.recipes import difference_of_recipes, merged_seeds

TASKS = ("dolly", "vicuna")
IDS = [str(number) for number in range(40)]


def run(method, seed, values, recipe="r", folder=None):
    """A stored run with two sampling seeds, from the scores of each task, shape (2, 40)."""
    training = {
        **dict.fromkeys(("samples", "seconds", "student_tokens", "teacher_tokens")),
        "method": method.lower(),
        "seed": seed,
        "recipe": recipe,
    }
    results = {}
    for task, scores in values.items():
        numbers = vars(estimate({10: list(scores[0]), 20: list(scores[1])}, "points"))
        metric = MetricResult(**numbers, unit="points", direction="higher", version="1")
        documents = {"id": IDS, "rougeL": [float(mean) for mean in scores.mean(axis=0)]}
        data = {"rows": 40, "used": 40, "sha256": "d"}
        print_of = {"task": task, "data_sha256": "d"}
        results[task] = TaskResult(print_of, {"rougeL": metric}, documents, data, 0, "rougeL")
    record = {
        "model": {"name": f"{method} {seed}", "sha256": f"{method}{seed}"},
        "method": method,
        "setting": "s",
        "limit": None,
        "status": "complete",
        "tasks": {},
        "protocol": {"name": "minillm"},
        "training": training,
    }
    return StoredRun(folder or f"{method}-{seed}/minillm-1", record, results)


def scores(rng, quality):
    return {task: np.clip(rng.normal(quality, 8, (2, 40)), 0, 100) for task in TASKS}


@pytest.fixture
def runs():
    rng = np.random.default_rng(0)
    return [
        run(method, seed, scores(rng, quality + 3 * rng.standard_normal()))
        for method, quality in (("SFT", 30), ("GKD", 60))
        for seed in (10, 11, 12)
    ]


def stacked(runs, task):
    return np.array([[r.results[task].documents["rougeL"]] for r in runs])


def squared(runs):
    return [r.results[task].metrics["rougeL"].seed_sd ** 2 for r in runs for task in TASKS]


def table_of(runs, tmp_path, **settings):
    built = TableSettings(results=tmp_path, published="none", tasks=TASKS, **settings)
    return build_table(built, runs)


def test_a_row_shows_the_mean_and_the_interval_over_trainings_and_prompts(runs, tmp_path):
    table = table_of(runs, tmp_path)
    (group,) = table.groups
    assert [row.label for row in group.rows] == ["GKD", "SFT"]
    assert group.rows[0].training_seeds == (10, 11, 12)
    gkd = [r for r in runs if r.method == "GKD"]
    dolly, average = group.rows[0].cells[0], group.rows[0].cells[-1]
    expected = variances([stacked(gkd, "dolly")]).test
    assert dolly.value == pytest.approx(expected.mean)
    assert (dolly.ci_low, dolly.ci_high) == pytest.approx(expected.shown_interval((0, 100)))
    joint = variances([stacked(gkd, task) for task in TASKS]).test
    assert average.value == pytest.approx(joint.mean)
    assert (average.ci_low, average.ci_high) == pytest.approx(joint.shown_interval((0, 100)))
    assert any("3 training seeds" in note for note in table.notes())
    assert any("between rows of several training seeds" in note for note in table.notes())
    assert average.sd == pytest.approx(np.sqrt(np.mean(squared(gkd)) / len(TASKS)))


def test_the_three_variances_are_columns(runs, tmp_path):
    columns = ("AVG", "sd_prompts", "sd_training", "sd_sampling")
    (group,) = table_of(runs, tmp_path, columns=columns).groups
    gkd = [r for r in runs if r.method == "GKD"]
    found = variances([stacked(gkd, task) for task in TASKS])
    _, prompts, training, sampling = (cell.value for cell in group.rows[0].cells)
    assert (prompts, training) == pytest.approx((found.prompts, found.training))
    assert sampling == pytest.approx(np.sqrt(np.mean(squared(gkd)) / len(TASKS)))


def test_one_seed_is_said_to_be_one(runs, tmp_path):
    table = table_of(runs[:1] + runs[3:4], tmp_path)
    assert any("of one training seed" in note for note in table.notes())
    assert all(len(row.training_seeds) == 1 for row in table.rows)
    mixed = table_of(runs[:3] + runs[3:4], tmp_path)
    assert any("other trained rows are of one training seed" in note for note in mixed.notes())


@pytest.mark.parametrize(
    "change",
    [
        {"recipe": "another"},
        {"recipe": None},
        {"seed": None},
    ],
)
def test_runs_of_different_or_unknown_recipes_stay_apart(runs, change):
    other = runs[1]
    training = {**other.record["training"], **change}
    other = replace(other, record={**other.record, "training": training})
    assert len(merged_seeds([runs[0], other])) == 2


def test_a_seed_counts_once(runs):
    again = replace(runs[0], folder="again/minillm-1")
    (merged,) = merged_seeds([runs[0], again, runs[1]])
    assert [r.folder for r in merged.trainings] == [runs[0].folder, runs[1].folder]


def test_the_difference_is_paired_by_training_seed_and_prompt(runs):
    sft, gkd = merged_seeds(runs)
    found = difference_of_recipes(gkd, sft, TASKS, "rougeL")
    gaps = [stacked(runs[3:], task) - stacked(runs[:3], task) for task in TASKS]
    expected = variances(gaps).test
    assert vars(found.moments) == pytest.approx(vars(expected.moments))
    assert vars(found.averages) == pytest.approx(vars(expected.averages))


def test_trainings_that_vary_more_than_they_differ_are_not_told_apart(tmp_path):
    """Over prompts alone the first row is far better; over trainings it is not."""
    rng = np.random.default_rng(1)
    of_seeds = {"A": (20, 50, 80), "B": (60, 30, 45)}
    runs = [
        run(method, seed, scores(rng, quality))
        for method, qualities in of_seeds.items()
        for seed, quality in zip((10, 11, 12), qualities, strict=True)
    ]
    (group,) = table_of(runs, tmp_path).groups
    assert [row.cells[-1].best for row in group.rows] == [True, True]
    averages = np.mean([stacked(runs[3:], task).mean(axis=(1, 2)) for task in TASKS], axis=0)
    inner = stats.ttest_1samp(averages, 0).confidence_interval()
    (shown,) = (row.cells[-1] for row in group.rows if row.label == "B")
    assert shown.ci_low <= inner.low < inner.high <= shown.ci_high
    (alone,) = table_of([runs[2], runs[5]], tmp_path).groups
    assert [row.cells[-1].best for row in alone.rows] == [True, False]


def test_the_cost_of_a_recipe_is_the_mean_over_its_trainings(runs, tmp_path):
    for place, one in enumerate(runs):
        one.record["training"].update(samples=10, seconds=10.0 * (place + 1), student_tokens=place)
    columns = ("AVG", "seconds_per_sample", "relative_cost", "student_tokens")
    (group,) = table_of(runs, tmp_path, columns=columns).groups
    costs = {row.label: [cell.value for cell in row.cells[1:]] for row in group.rows}
    assert costs == {"SFT": pytest.approx([2, 1, 1]), "GKD": pytest.approx([5, 2.5, 4])}
