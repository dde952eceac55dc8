"""The page Run shows what run.json and the run card record, however little that is."""

import json

import pytest
from made_runs import put_run

from kdbench.config import ReportSettings
from kdbench.measuring.identity import training_cost
from kdbench.site.page import value_of
from kdbench.site.run import run_page
from kdbench.site.source import read_source
from kdbench.site.training import find_training
from kdbench.tables.provenance import command_of

CARD = {
    "schema": 1,
    "method": "KD",
    "steps": 10,
    "training": {"settings": {"method": "kd", "batch_size": 4, "learning_rate": 0.5}},
    "phases": {"train": {"seconds": 1.23456789, "tokens": 7}},
    "selected": {"step": 5.0},
    "validations": [{"step": 0.0, "loss": 2.0}, {"step": 5.0, "loss": 1.0}],
}
LOG = [
    {"step": 1, "loss": 3.0, "epoch": 0.1},
    {"step": 2, "loss": 2.5},
    {"step": 0, "eval_loss": 2},
]


@pytest.fixture
def results(tmp_path):
    put_run(tmp_path / "results", "kd", {"dolly": [1, 2]}, training=training_cost(CARD))
    return tmp_path / "results"


@pytest.fixture
def checkpoint(tmp_path):
    folder = tmp_path / "runs" / "deep" / "kd"
    folder.mkdir(parents=True)
    (folder / "kdbench.json").write_text(json.dumps(CARD), "utf-8")
    (folder / "training.jsonl").write_text("".join(json.dumps(x) + "\n" for x in LOG), "utf-8")
    return folder


def page_of(results):
    return run_page(read_source(ReportSettings(results=results, runs=results.parent / "runs")))


def test_the_training_log_is_found_by_the_cost_in_the_run_card(results, checkpoint):
    page = page_of(results)
    assert value_of(page.data["training.0"]) == {
        "series": {"loss": [(1, 3.0), (2, 2.5)], "eval_loss": [(0, 2)]},
        "selected": 5.0,
    }
    assert "Validations; the checkpoint is that of step 5" in str(page.html)
    assert "<dt>learning rate</dt><dd>0.5</dd>" in str(page.html)


def test_another_training_is_not_taken_for_it(results, checkpoint):
    other = {**CARD, "phases": {"train": {"seconds": 1.2346, "tokens": 7}}}
    (checkpoint / "kdbench.json").write_text(json.dumps(other), "utf-8")
    page = page_of(results)
    assert page.data == {}
    assert "is not below" in str(page.html)


@pytest.mark.parametrize(
    "card", ["", "[1]", "{", "{}", '{"training": 3}', json.dumps({**CARD, "validations": 3})]
)
def test_a_file_that_is_no_run_card_is_passed_over(card, results, checkpoint):
    (checkpoint / "kdbench.json").write_text(card, "utf-8")
    assert "article" in str(page_of(results).html)


@pytest.mark.parametrize(
    ("log", "problem"),
    [
        (None, "there is no training.jsonl in the checkpoint's folder"),
        ("{broken\n", "the training log cannot be read: "),
        ('{"loss": 1}\n{"step": "x", "loss": 1}\n', "the training log holds no numbers"),
    ],
)
def test_a_log_that_cannot_be_read_is_said_to_be(log, problem, results, checkpoint):
    file = checkpoint / "training.jsonl"
    file.unlink() if log is None else file.write_text(log, "utf-8")
    (found,) = find_training(checkpoint.parent, read_source_runs(results)).values()
    assert found.problem.startswith(problem)
    assert problem.split(":")[0].split("'")[0] in str(page_of(results).html)


def read_source_runs(results):
    return read_source(ReportSettings(results=results)).runs


def test_the_command_repeats_what_the_run_records(tmp_path):
    teacher = {"name": "big", "sha256": "t"}
    put_run(
        tmp_path,
        "kd",
        {"dolly": [1], "vicuna": [2]},
        method="GKD",
        setting="toy world",
        limit=5,
        protocol={"name": "minillm+temperature=0.5+seeds=1,2"},
        teacher=teacher,
    )
    (run,) = read_source_runs(tmp_path)
    assert command_of(run, ["dolly", "vicuna"]) == (
        "kdbench eval model=path/to/kd teacher=path/to/big data=path/to/data tasks=dolly,vicuna "
        "protocol=minillm limit=5 method=GKD 'setting=toy world' temperature=0.5 seeds=1,2"
    )


def test_a_run_of_the_bare_minimum_is_shown(tmp_path):
    folder = put_run(tmp_path, "kd", {"dolly": [None, None]})
    record = json.loads((folder / "run.json").read_text("utf-8"))
    for key in ("created",):
        del record[key]
    record["model"] = {"name": "</script><b>kd"}
    (folder / "run.json").write_text(json.dumps(record), "utf-8")
    html = str(page_of(tmp_path).html)
    assert "no numbers" in html  # the reason why the metric is missing
    assert "<b>" not in html
