"""The sentence under a table: what it says for clear, close, single and unpaired students."""

from dataclasses import replace

import numpy as np
import pytest
from stored_scores import stored_run

from kdbench.config import TableSettings
from kdbench.tables import build_table
from kdbench.tables.recipes import difference_of_recipes, merged_seeds

TASKS = ("dolly", "vicuna")


def table(tmp_path, runs, **settings):
    keys = {"tasks": TASKS, **settings}
    return build_table(TableSettings(results=tmp_path, published="none", **keys), runs)


def student(label, shift, seed=0, **record):
    rng = np.random.default_rng(seed)
    scores = {task: 40 + shift + rng.normal(0, 3, 40) for task in TASKS}
    return stored_run(label, scores, record)


def test_the_verdict_names_the_best_its_ties_and_the_worse_with_their_differences(tmp_path):
    runs = [student("GKD", 5), student("KD", 4.9, seed=1), student("SFT", 0, seed=2)]
    shown = table(tmp_path, runs)
    (sentence,) = shown.verdicts()
    gap = np.mean(
        [
            np.mean(runs[0].results[t].documents["rougeL"])
            - np.mean(runs[2].results[t].documents["rougeL"])
            for t in TASKS
        ]
    )
    assert sentence.startswith(
        "AVG, for these checkpoints: GKD has the best mean; KD is not significantly different from "
        f"GKD; GKD is significantly better than SFT by {gap:.2f} ["
    )
    bold = {row.label: row.cells[-1].best for row in shown.rows}
    assert bold == {"GKD": True, "KD": True, "SFT": False}  # the sentence says what bold says


def test_a_difference_has_students_interval_of_paired_prompts(tmp_path):
    from scipy import stats

    base = np.random.default_rng(0).normal(40, 10, 60)
    gaps = np.tile([1.0, 3.0], 30)  # not skewed, so that the interval is Student's t
    runs = [stored_run("GKD", {"dolly": base + gaps}), stored_run("SFT", {"dolly": base})]
    (sentence,) = table(tmp_path, runs, tasks=("dolly",)).verdicts()
    error = gaps.std(ddof=1) / np.sqrt(60)
    low, high = stats.t.interval(0.95, 59, loc=2.0, scale=error)
    assert f"better than SFT by 2.00 [{low:.2f}, {high:.2f}]." in sentence


def test_without_a_significant_difference_no_one_is_better(tmp_path):
    runs = [student("GKD", 0.1), student("KD", 0.0, seed=1)]
    (sentence,) = table(tmp_path, runs).verdicts()
    means = {
        run.label: np.mean([np.mean(run.results[task].documents["rougeL"]) for task in TASKS])
        for run in runs
    }
    best, other = max(means, key=means.get), min(means, key=means.get)
    assert sentence == (
        f"AVG, for these checkpoints: {best} has the best mean; {other} is not significantly "
        f"different from {best}."
    )


def test_lower_is_better_where_it_is(tmp_path):
    runs = [student("GKD", 5), student("SFT", 0, seed=2)]
    for run in runs:
        for task, result in run.results.items():
            metric = replace(result.metrics["rougeL"], direction="lower")
            run.results[task] = replace(result, metrics={"rougeL": metric})
    (sentence,) = table(tmp_path, runs).verdicts()
    assert "SFT is significantly better than GKD by " in sentence
    assert "-" not in sentence.partition(" by ")[2]


def test_nothing_is_said_where_there_is_nothing_to_test(tmp_path):
    assert table(tmp_path, [student("GKD", 5)]).verdicts() == []
    unpaired = [student("GKD", 5), student("SFT", 0, seed=2)]
    for run in unpaired:
        for task, result in run.results.items():
            run.results[task] = replace(result, documents={"id": result.documents["id"]})
    assert table(tmp_path, unpaired).verdicts() == []


def test_recipes_over_training_seeds_are_named_as_such(tmp_path):
    def trained(method, shift, seed):
        training = {"method": method.lower(), "samples": 1, "seconds": 1.0, "student_tokens": 0}
        training |= {"teacher_tokens": 0, "seed": seed, "recipe": "r"}
        return student(f"{method}-{seed}", shift, seed, training=training, method=method)

    runs = [trained("GKD", 5, seed) for seed in (1, 2, 3)]
    runs += [trained("SFT", 0, seed) for seed in (1, 2, 3)]
    shown = table(tmp_path, runs)
    (sentence,) = shown.verdicts()
    gkd, sft = merged_seeds(runs)
    found = difference_of_recipes(gkd, sft, TASKS, "rougeL")
    assert sentence.startswith("AVG, for recipes over 3 training seeds: GKD is significantly ")
    assert f"better than SFT by {found.mean:.2f}" in sentence
    (origin,) = {origin for label, origin in shown.origins() if label == "GKD"}
    assert origin.runs == tuple(f"GKD-{seed}/minillm-1" for seed in (1, 2, 3))


@pytest.mark.parametrize("form", ["terminal", "md", "tex", "html"])
def test_every_form_has_the_verdict_and_escapes_its_labels(tmp_path, form):
    runs = [student("<b>GKD</b>_*", 5), student("SFT", 0, seed=2)]
    text = table(tmp_path, runs).render(form)
    assert "significantly better than SFT by" in text.replace("\n  ", " ")
    if form in ("md", "html"):
        assert "<b>GKD" not in text
