"""Which method to pick: from stored results and timings, and timed on a small world."""

import json
from pathlib import Path

import pytest
from made_runs import put_run
from made_timings import row, step, training

from kdbench.analyses import analyses
from kdbench.analyses.budgeted import timing
from kdbench.analyses.budgeted.table import WantedRows, budget_table
from kdbench.analyses.core.run import analyse
from kdbench.config.fill import parse_with_changes
from kdbench.distillation.timed import time_training
from kdbench.errors import InputError
from kdbench.filling.spec import read_spec
from kdbench.store.timings import TIMINGS, read_timings, write_timings

TABLE = """
title: made
teacher: {{checkpoint: {models}/teacher}}
student: {{checkpoint: {models}/student}}
train: {{steps: 10, batch_size: 4, device: cpu, validation_limit: 4, max_new_tokens: 8}}
rows:
  - {{train: {{method: sft}}}}
  - {{train: {{method: kd}}}}
  - {{train: {{method: gkd, student_fraction: 1}}}}
data: {data}
results: {results}
models: {runs}
tasks: [dolly, vicuna]
"""
# GKD is better than SFT by 4 with any seed; KD by 0.5 on average, in noise.
SCORES = {"SFT": (50, 51, 49), "KD": (53, 48, 50.5), "GKD": (54.1, 54.9, 53)}


@pytest.fixture
def table(tmp_path):
    """A table with results of three training seeds, and without models."""
    return put_table(tmp_path, tmp_path / "none", tmp_path / "none")


def put_table(folder: Path, models: Path, data: Path) -> Path:
    file, results = folder / "made.yaml", folder / "results"
    keys = {"models": models, "data": data, "results": results, "runs": folder / "runs"}
    file.write_text(TABLE.format(**keys))
    tokens = {"SFT": 0, "KD": 0, "GKD": 300}
    for label, scores in SCORES.items():
        for seed, score in enumerate(scores, start=10):
            cost = {"method": label.lower(), "samples": 40, "seconds": 1.0, "recipe": label}
            cost |= {"student_tokens": tokens[label], "teacher_tokens": 0, "seed": seed}
            # Two tasks, one above the score and one below.
            prompts = {"dolly": [score - 3, score + 5], "vicuna": [score - 2, score]}
            put_run(
                results, f"{label} {seed}", prompts, method=label, setting="made", training=cost
            )
    return file


def put_timings(file, busy=0.0, rows=("SFT", "KD", "GKD")):
    """A step of SFT takes 1 s, of KD 1.5 s, and of GKD 2 s and 0.1 s a token."""
    known = {
        "SFT": training([step(1.0), step(1.1), step(0.9)], others=busy),
        "KD": training([step(1.5), step(1.6), step(1.4)]),
        "GKD": training([step(3.0, 1.0, 10), step(3.1, 1.0, 10), step(2.9, 1.0, 10)]),
    }
    results = file.parent / "results"
    keys = {one.label: one.keys for one in read(file).rows}
    write_timings(results, {label: row(keys[label], known[label]) for label in rows})
    return results


def read(file, **wanted):
    return budget_table(read_spec(file), file, file.parent / "results", WantedRows(**wanted))


def budget(file, *words):
    given = [f"table={file}", f"results={file.parent / 'answers'}", *words]
    return parse_with_changes(analyses.get("budget"), given)


def answer(file, *words):
    return budget(file, *words).run(None)


def test_an_answer_is_drawn_from_stored_results_and_timings_alone(table):
    put_timings(table)
    found = answer(table)
    _, quality, picked = found.tables
    # GKD generated 300 tokens in 10 steps: 30 of 0.1 s each, after 2 s of other work.
    costs = {line[0]: (line[1].value, line[2].value) for line in quality.rows}
    assert costs == {
        "SFT": pytest.approx((10, 1)),
        "KD": pytest.approx((15, 1.5)),
        "GKD": pytest.approx((50, 5)),
    }
    gain = {line[0]: line[4] for line in quality.rows}
    assert gain["SFT"] is None
    assert gain["GKD"].value == pytest.approx(4.0)
    assert gain["GKD"].p < 0.05 < gain["KD"].p
    assert [line[-2:] for line in quality.rows] == [
        ("yes", "3 of 3"),
        ("yes", "2 of 3"),
        ("yes", "3 of 3"),
    ]
    assert [(line[0], line[-1]) for line in picked.rows] == [
        ("1x", "SFT (1x)"),
        ("1.5x", "SFT (1x)"),
        ("5x", "GKD (5x)"),
    ]
    first, *picks = found.sentences
    assert first.startswith("Better than SFT, the cheapest method, in rougeL: GKD by 4.00 [3.")
    assert first.endswith("at 5x SFT's cost.")
    assert picks[0] == "Under 1x SFT's cost: SFT (1x), the only one."
    assert picks[1] == (
        "Under 1.5x SFT's cost: SFT (1x); KD (1.5x) has the best mean, and is not told apart from "
        "it."
    )
    assert picks[2].startswith("Under 5x SFT's cost: GKD (5x)")
    assert found.settings["clock"] == "seconds"


def test_the_figure_has_a_named_point_for_each_method_and_a_line_for_the_front(table):
    put_timings(table)
    done = analyse(budget(table))
    assert [file.name for file in done.files][:2] == ["budget.json", "budget.md"]
    assert ">GKD</text>" in (table.parent / "answers" / "budget.svg").read_text()
    (panel,) = done.conclusion.panels
    assert panel.log_x
    points, front = panel.curves
    assert points.names == ("SFT", "KD", "GKD")
    assert points.x == pytest.approx((10, 15, 50))
    assert points.y == pytest.approx((50, 50.5, 54))
    # SFT's steps take 1, 1.1 and 0.9 s: 4.3027 · 0.1 / √3 s to both sides, times 10 steps.
    assert points.left[0] == pytest.approx(10 - 2.484, abs=1e-3)
    assert points.right[0] == pytest.approx(10 + 2.484, abs=1e-3)
    assert points.low[0] == pytest.approx(50 - 2.484, abs=1e-3)  # 50, 51 and 49: ± 4.3027 / √3
    assert front.x == pytest.approx((10, 15, 50))
    assert front.y == pytest.approx((50, 50.5, 54))


def test_a_busy_machine_is_said_and_costs_are_of_the_processor(table):
    put_timings(table, busy=0.6)
    found = answer(table)
    assert found.settings["clock"] == "processor"
    notes = " ".join(found.notes)
    assert "others took up to 60 % of its processor time" in notes
    assert "while SFT was timed" in notes
    assert found.tables[1].rows[0][1].value == pytest.approx(5)  # half as long as on the wall
    seconds = answer(table, "clock=seconds")
    assert seconds.tables[1].rows[0][1].value == pytest.approx(10)
    assert "which are too long then" in " ".join(seconds.notes)


def test_of_losses_the_lower_is_better(table):
    results = put_timings(table)
    for file in [*results.rglob("dolly.json"), *results.rglob("vicuna.json")]:
        file.write_text(file.read_text().replace("rougeL", "lm_loss").replace("higher", "lower"))
    found = answer(table, "metric=lm_loss")
    assert "No dearer method" in found.sentences[0]
    assert found.tables[1].rows[-1][4].value == pytest.approx(-4.0)  # a gain is for the better
    assert [line[-2] for line in found.tables[1].rows] == ["yes", "no", "no"]
    assert {line[-1] for line in found.tables[2].rows} == {"SFT (1x)"}


def test_rows_without_a_timing_are_left_out_with_the_reason(table):
    put_timings(table, rows=("SFT", "GKD"))
    found = answer(table)
    assert [line[0] for line in found.tables[1].rows] == ["SFT", "GKD"]
    assert "Left out: KD (not timed yet: " in found.notes[-1]
    assert "no such folder" in found.notes[-1]


def test_changed_keys_make_a_timing_stale(table):
    put_timings(table)
    table.write_text(table.read_text().replace("method: kd", "method: kd, batch_size: 8"))
    assert "KD (its keys have changed since it was timed" in answer(table).notes[-1]


def test_other_steps_and_rates_need_no_new_timing(table):
    before = [one.keys for one in read(table).rows]
    changed = table.read_text().replace("steps: 10", "steps: 20, learning_rate: 1.0e-3, seed: 3")
    table.write_text(changed)
    assert [one.keys for one in read(table).rows] == before


def test_rows_and_baseline_can_be_chosen(table):
    put_timings(table)
    found = answer(table, "rows=GKD", "baseline=KD")
    assert [line[0] for line in found.tables[1].rows] == ["KD", "GKD"]
    assert found.tables[1].rows[1][2].value == pytest.approx(50 / 15)


def test_one_training_seed_makes_no_pick(table):
    put_timings(table)
    for file in table.parent.glob("results/* 1[12]/run-1/*.json"):
        file.unlink()
    found = answer(table)
    assert found.sentences[0].startswith("No pick is made: the results have one training seed")
    assert len(found.tables) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rows=KDD"], "rows=KDD: did you mean 'KD'"),
        (["baseline=X"], "baseline=X: "),
        (["metric=bleu"], "metric=bleu: no task has it"),
        (["stored=nowhere"], "stored=nowhere: no such folder"),
        (["timed_steps=9"], "timed_steps=9: fewer are stored, and none can be timed: data="),
        (["steps=3"], "steps=: is no key of budget"),
        (["workers=2"], "workers=: is no key of budget"),
        (["rows=SFT"], "rows=SFT: names only the baseline; name another row to compare with SFT"),
        (["rows=KD,KD", "baseline=KD"], "rows=KD,KD: names only the baseline"),
    ],
)
def test_bad_keys_are_one_line(table, words, message):
    put_timings(table)
    with pytest.raises(InputError, match=message):
        answer(table, *words)


def test_without_models_and_timings_the_reason_is_one_line(table):
    with pytest.raises(InputError, match="no row is timed yet, and none can be here: data="):
        answer(table)
    with pytest.raises(InputError, match="table= is missing"):
        analyses.get("budget")().run(None)


def test_a_table_of_one_row_has_nothing_to_compare(table):
    lines = table.read_text().splitlines(keepends=True)
    table.write_text("".join(line for line in lines if "method: " not in line or "sft" in line))
    with pytest.raises(InputError, match=r"made\.yaml: rows: has only SFT; add another row"):
        answer(table)


def untrained(role, model):
    """A model of the table that is to be trained first."""
    return (
        f"{role}: {{checkpoint: {model}}}",
        f"{role}: {{train: {{student: {model}, method: sft}}}}",
    )


def test_where_no_row_can_be_timed_no_lock_is_left(world, tmp_path):
    file = put_table(tmp_path, world.teacher.parent, world.data)
    text = file.read_text()
    cached = text.replace("method: kd", "method: kd, teacher_cache: x").replace(
        "method: gkd", "method: gkd, rollout_backend: vllm"
    )
    blocked = text.replace(*untrained("student", world.student))
    for content, reason in (
        (blocked, "KD \\(needs train Student, which kdbench fill … checkpoints=true makes\\)"),
        (cached, "KD \\(teacher_cache= moves the teacher's work"),
    ):
        file.write_text(content)
        with pytest.raises(InputError, match=reason):
            answer(file, "rows=GKD", "baseline=KD")
        assert not (tmp_path / "runs").exists()


def test_times_of_two_machines_do_not_compare(table):
    results = put_timings(table)
    rows = read_timings(results)
    other = rows["KD"].training.model_copy(update={"machine": "GPU"})
    write_timings(results, {**rows, "KD": rows["KD"].model_copy(update={"training": other})})
    with pytest.raises(InputError, match="times of two machines do not compare"):
        answer(table)


def test_rows_are_timed_once_and_a_call_that_died_goes_on(world, tmp_path, monkeypatch):
    file = put_table(tmp_path, world.teacher.parent, world.data)
    results, timed = tmp_path / "results", []

    def here(recipe, scratch, steps):
        """Time in this process, and die before the second row of the first call."""
        if timed == ["SFT"]:
            timed.append("killed")
            raise KeyboardInterrupt
        timed.append(recipe.settings.label)
        assert scratch.parent.name == "timing"
        return time_training(recipe, scratch, steps)

    monkeypatch.setattr(timing, "_in_own_process", here)
    dry = analyse(budget(file, "dry_run=true", "rows=KD"))
    assert dry.notes.splitlines() == ["missing  SFT: not timed yet", "missing  KD: not timed yet"]
    with pytest.raises(KeyboardInterrupt):
        answer(file, "rows=KD", "timed_steps=2")
    assert list(read_timings(results)) == ["SFT"]
    found = answer(file, "rows=KD", "timed_steps=2")
    assert timed == ["SFT", "killed", "KD"]
    assert [line[0] for line in found.tables[0].rows] in (["SFT", "KD"], ["KD", "SFT"])
    assert not (tmp_path / "runs" / "timing").exists()
    first = (results / TIMINGS).read_bytes()
    assert answer(file, "rows=KD") == found  # nothing is timed again, nor with fewer steps
    assert (results / TIMINGS).read_bytes() == first
    assert json.loads(first)["rows"]["KD"]["asked"] == 2


def test_rows_that_were_measured_on_other_prompts_are_refused(table):
    results = put_timings(table)
    for file in sorted(results.glob("KD *")):
        result = file / "run-1/dolly.json"
        content = json.loads(result.read_text())
        content["fingerprint"]["prompts_sha256"] = "other"
        result.write_text(json.dumps(content))
    with pytest.raises(InputError, match="KD was measured on other prompts of dolly than SFT"):
        answer(table)
