"""Stored files that were edited by hand: one line that names file and key."""

import json
from pathlib import Path

import pytest

from kdbench.errors import InputError
from kdbench.store.folder import RunFolder
from kdbench.store.results import MetricResult, TaskResult

PROTOCOL = {"name": "minillm", "seeds": [1, 2]}
RUN = {
    "method": "KD",
    "setting": None,
    "limit": None,
    "status": "complete",
    "tasks": {"dolly": {"cut_prompts": 0}},
    "model": {"name": "kd", "sha256": "a" * 64, "parameters": 100},
    "protocol": PROTOCOL,
    "environment": {"gpus": []},
    "backend": {"name": "hf", "batch_size": 8},
    "training": None,
}


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    run = RunFolder(tmp_path)
    run.write_run(RUN)
    fingerprint = {"task": "dolly", "prompts_sha256": "p", "protocol": PROTOCOL}
    number = MetricResult(2.0, 1.0, 3.0, None, {"1": 2.0}, 2, "points", "higher", "1")
    curve = {"start": [0], "stop": [1], "value": [0.5], "n": [2]}
    curve |= {"ci_low": [None], "ci_high": [None]}
    run.write_task(
        TaskResult(
            fingerprint,
            {"rougeL": number},
            {"id": ["a", "b"], "rougeL": [1.0, 3.0]},
            {"used": 2},
            0,
            "rougeL",
            {"name": "big", "sha256": "b" * 64},
            {"top1@student": curve},
        )
    )
    return run


def edit(file: Path, place: str, text: str) -> None:
    """Set the value at a dotted place to a text of JSON, or remove it for an empty text."""
    content = json.loads(file.read_text())
    *parents, last = place.split(".")
    inner = content
    for parent in parents:
        inner = inner[parent]
    inner[last] = "HERE"
    if not text:
        del inner[last]
    file.write_text(json.dumps(content).replace('"HERE"', text))


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("model.name", "5"),
        ("model.name", '["a"]'),
        ("model.sha256", "5"),
        ("model.parameters", "[1]"),
        ("model.parameters", "true"),
        ("environment", '"x"'),
        ("environment.gpus", "[1]"),
        ("training", '"x"'),
        ("training", '{"samples": "x", "seconds": 1}'),
        ("protocol.seeds", '["a"]'),
        ("limit", "0"),
        ("limit", "true"),
        ("status", '"sideways"'),
        ("tasks.dolly", "5"),
        ("method", ""),
    ],
)
def test_a_wrong_field_of_a_record_is_named(run: RunFolder, place: str, text: str) -> None:
    file = run.path / "run.json"
    edit(file, place, text)
    with pytest.raises(InputError) as caught:
        run.read_whole_run()
    assert str(caught.value).startswith(f"{file}: not the record of a run: ")
    assert place in str(caught.value)


def test_a_task_of_a_record_cannot_be_a_path(run: RunFolder) -> None:
    run.write_run({**RUN, "tasks": {"../../evil.yaml": {}}})
    with pytest.raises(InputError, match="cannot name a task"):
        run.read_whole_run()


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("fingerprint", "{}"),
        ("fingerprint.protocol", "[]"),
        ("fingerprint.task", '"other"'),
        ("metrics.rougeL.value", '"high"'),
        ("metrics.rougeL.value", "[1]"),
        ("metrics.rougeL.value", "1e308"),
        ("metrics.rougeL.value", "true"),
        ("metrics.rougeL.ci_low", "null"),
        ("metrics.rougeL.ci_low", "7"),
        ("metrics.rougeL.n", "-5"),
        ("metrics.rougeL.n", "null"),
        ("metrics.rougeL.direction", '"sideways"'),
        ("metrics.rougeL.bound", "5"),
        ("metrics.rougeL.unit", ""),
        ("documents", "[]"),
        ("documents", "{}"),
        ("documents.id", '["a", "a"]'),
        ("documents.id", "[1, 2]"),
        ("documents.rougeL", "[1]"),
        ("documents.rougeL", '["1", 2]'),
        ("documents.rougeL", "[1e308, 1]"),
        ("documents.rougeL", "[[1], 2]"),
        ("documents.rougeL", "[true, 2]"),
        ("documents.rougeL", "{}"),
        ("teacher", '"x"'),
        ("curves.top1@student", "{}"),
        ("main_metric", '"other"'),
    ],
)
def test_a_wrong_field_of_a_result_is_named(run: RunFolder, place: str, text: str) -> None:
    file = run.path / "dolly.json"
    edit(file, place, text)
    with pytest.raises(InputError) as caught:
        run.read_task("dolly")
    assert str(caught.value).startswith(f"{file}: not a result of kdbench: ")
    assert place.partition(".")[0] in str(caught.value)


@pytest.mark.parametrize("text", ["Infinity", "NaN", "[" * 5000 + "]" * 5000, '"\\ud800"'])
def test_what_is_no_json_is_refused(run: RunFolder, text: str) -> None:
    file = run.path / "dolly.json"
    edit(file, "metrics.rougeL.value", text)
    with pytest.raises(InputError, match="not JSON"):
        run.read_task("dolly")


def test_an_unchanged_record_is_not_locked(run: RunFolder) -> None:
    run.update_run(dict)
    assert not (run.path / "samples").exists()
