"""Notes on rows that are partial, mixed or stale, and the row that is none of these."""

import os
import shutil
from datetime import UTC, datetime

import numpy as np
import pytest
from stored_scores import stored_run

from kdbench.checkpoint import find_checkpoint
from kdbench.config import TableSettings
from kdbench.tables import build_table

SCORES = {"dolly": np.arange(40.0), "vicuna": np.arange(10.0, 50.0)}


def notes(tmp_path, *runs, tasks=("dolly", "vicuna")):
    settings = TableSettings(results=tmp_path, published="none", tasks=tasks)
    return build_table(settings, runs).row_notes()


def test_a_whole_row_has_no_note(tmp_path):
    assert notes(tmp_path, stored_run("GKD", SCORES), stored_run("SFT", SCORES)) == []


@pytest.mark.parametrize(
    ("tasks", "note"),
    [
        ({"dolly": {}, "vicuna": {}}, "GKD: the run is not complete"),
        (
            {"dolly": {}, "vicuna": {}, "unnatural": {}},  # of which shards are missing
            "GKD: the run is not complete: no result for unnatural",
        ),
    ],
)
def test_a_partial_row_says_what_it_lacks(tmp_path, tasks, note):
    run = stored_run("GKD", SCORES, {"status": "running", "tasks": tasks})
    assert notes(tmp_path, run) == [note]


def test_a_row_with_fewer_prompts_than_others_says_so(tmp_path):
    few = stored_run("GKD", {**SCORES, "vicuna": np.arange(20.0)})
    assert notes(tmp_path, few, stored_run("SFT", SCORES)) == [
        "GKD: Vicuna: 20 prompts, others have 40"
    ]


def test_a_row_of_fewer_training_seeds_says_so(tmp_path):
    def trained(method, seed):
        training = {"method": "gkd", "samples": 1, "seconds": 1.0, "student_tokens": 0}
        record = {"training": {**training, "teacher_tokens": 0, "seed": seed, "recipe": "r"}}
        record["method"] = method
        return stored_run(f"{method}-{seed}", SCORES, record)

    runs = [trained("GKD", 1), trained("GKD", 2), trained("SFT", 1)]
    (note,) = notes(tmp_path, *runs)
    assert note == "SFT (SFT-1): 1 training seed, others have 2"


@pytest.mark.parametrize(
    ("entry", "note"),
    [
        (
            {"kdbench_version": "0.2.0"},
            "mixed: its tasks were measured by kdbench 0.1.0 and 0.2.0",
        ),
        ({"gpus": []}, "mixed: its tasks were measured on CPU and H100"),
        (
            {"started": "2026-11-24T10:00:00+00:00"},
            "mixed: its tasks were measured from 2026-11-20 to 2026-11-24",
        ),
        ({"started": "2026-11-21T10:00:00+00:00"}, None),  # a run over midnight
    ],
)
def test_a_mixed_row_says_of_what(tmp_path, entry, note):
    run = stored_run("GKD", SCORES, {"tasks": {"dolly": {}, "vicuna": entry}})
    assert notes(tmp_path, run) == ([f"GKD: {note}"] if note else [])


def test_a_task_that_is_not_shown_mixes_nothing(tmp_path):
    run = stored_run("GKD", SCORES, {"tasks": {"dolly": {}, "vicuna": {"gpus": []}}})
    assert notes(tmp_path, run, tasks=("dolly",)) == []


def test_intervals_of_two_methods_are_mixed(tmp_path):
    old = stored_run("GKD", {"dolly": SCORES["dolly"]}, standard_error=None)
    new = stored_run("GKD", SCORES)
    new.results["dolly"] = old.results["dolly"]
    assert notes(tmp_path, new) == [
        "GKD: mixed: intervals of rougeL by an earlier method and by today's"
    ]


def test_a_task_of_another_version_is_stale(tmp_path):
    (note,) = notes(tmp_path, stored_run("GKD", SCORES, fingerprint={"task_version": "0.9"}))
    assert note == (
        "GKD: stale: dolly of version 0.9, and this kdbench has 1.0; "
        "stale: vicuna of version 0.9, and this kdbench has 1.0"
    )


def test_a_metric_of_another_version_is_stale(tmp_path):
    (note,) = notes(tmp_path, stored_run("GKD", SCORES, version="0"))
    assert note == "GKD: stale: rougeL of version 0, and this kdbench has 1"


def test_a_checkpoint_that_was_made_again_leaves_its_earlier_row_stale(tmp_path):
    old = stored_run("GKD", SCORES)
    new = stored_run("GKD", SCORES, {"created": "2026-11-21T00:00:00+00:00"})
    new.record["model"]["sha256"] = "another hash"
    object.__setattr__(new, "folder", "GKD/minillm-2")
    assert notes(tmp_path, old, new) == [
        "GKD: stale: GKD/minillm-1 is of an earlier checkpoint than GKD/minillm-2"
    ]


def test_runs_on_earlier_data_say_that_newer_ones_exist(tmp_path):
    old = stored_run("GKD", SCORES)
    day = {"created": "2026-11-21T00:00:00+00:00"}
    new = stored_run("SFT", SCORES, day, {"data_sha256": "other data"})
    assert notes(tmp_path, old, new) == [
        "GKD: newer runs of this setting have other data, prompts or versions of tasks and metrics"
    ]


@pytest.mark.parametrize("changed", [False, True])
def test_a_checkpoint_that_changed_on_disk_is_stale(tmp_path, world, changed):
    model = tmp_path / "student"
    shutil.copytree(world.student, model)
    record = {
        "model": {"name": "student", "sha256": find_checkpoint(str(model)).sha256},
        "commands": [["kdbench", "eval", f"model={model}"]],
    }
    run = stored_run("student", SCORES, record)
    later = datetime(2026, 11, 22, tzinfo=UTC).timestamp()
    if changed:
        config = model / "config.json"
        config.write_text(config.read_text("utf-8") + "\n", encoding="utf-8")
    os.utime(model / "config.json", (later, later))  # copied again, or written
    expected = ["student: stale: its checkpoint has changed on disk since"] if changed else []
    assert notes(tmp_path, run) == expected
