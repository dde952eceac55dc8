"""Which runs of a folder count as a recipe's, and which scores compare."""

import pytest
from made_runs import put_run

from kdbench.analyses.seeded.scores import runs_in, seed_scores
from kdbench.errors import InputError

EARLY, LATE = "2026-11-02T10:00:00+00:00", "2026-11-03T10:00:00+00:00"

UNKNOWN = dict.fromkeys(("samples", "seconds", "student_tokens", "teacher_tokens"))


def put(results, label, seed, score, recipe="r", **record):
    put_run(
        results,
        f"{label}-{recipe}-{seed}",
        {"dolly": [score, score]},
        method=label,
        training={**UNKNOWN, "method": "gkd", "seed": seed, "recipe": recipe},
        **record,
    )


def put_rows(results, **record):
    for seed in (10, 11):
        put(results, "SFT", seed, 1.0 + seed, **record)
        put(results, "KD", seed, 2.0 + seed, **record)


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_of_a_row_that_has_changed_the_recipe_that_was_measured_last_counts(tmp_path, names):
    put_rows(tmp_path)
    for name, score, created in zip(names, (50.0, 90.0), (EARLY, LATE), strict=True):
        for seed in (10, 11):
            put(tmp_path, "GKD", seed, score, recipe=name, created=created)
    found = seed_scores(runs_in(tmp_path), "rougeL", "here")
    assert found.labels == ("GKD", "KD", "SFT")
    assert found.scores[0].tolist() == [90.0, 90.0]


def test_one_label_in_two_settings_is_refused(tmp_path):
    put_rows(tmp_path / "one", setting="One")
    put_rows(tmp_path / "two", setting="Two")
    assert set(runs_in(tmp_path / "one")) == {"SFT", "KD"}
    with pytest.raises(InputError, match="has KD in the settings 'One' and 'Two'; name the folder"):
        runs_in(tmp_path)


def test_rows_that_were_measured_on_other_prompts_are_refused(tmp_path):
    put_rows(tmp_path)
    for seed in (10, 11):
        put(tmp_path, "GKD", seed, 5.0, prompts="others")
    with pytest.raises(
        InputError, match="here: KD was measured on other prompts of dolly than GKD"
    ):
        seed_scores(runs_in(tmp_path), "rougeL", "here")
