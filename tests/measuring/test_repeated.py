"""Repeated sampling from the command line: 16 seeds of a model that is sometimes right."""

import json
from collections.abc import Iterator, Sequence
from math import comb
from pathlib import Path

import pytest
import yaml
from echo_backend import Echo
from outcomes import run
from tiny_world import TASK, make_tiny_world, write_lines

from kdbench.generate import Row, Sample, backends

SEEDS = 16
RIGHT = {"a": 4, "b": 0, "c": 16, "d": 1}
"""How many of the 16 responses to each prompt are right."""


class Dice(Echo):
    """Right for the first seeds of a document, and then wrong in two ways, by turns."""

    def generate(self, rows: Sequence[Row], until: Sequence[str]) -> Iterator[Sample]:  # noqa: ARG002
        """One sample for each row."""
        for row in rows:
            document = chr(row.prompt_ids[0])
            right = row.seed <= RIGHT[document]
            text = f"so it is {'5' if right else row.seed % 2 + 8}"
            yield Sample(row.document, row.seed, text, 3, "stop", (1, 2, 3, 0))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_tiny_world(tmp_path)
    if "dice" not in backends.names():
        backends.register("dice")(Dice)
    monkeypatch.chdir(tmp_path)
    rows = [{"id": name, "instruction": name, "input": "?", "output": ["5"]} for name in RIGHT]
    write_lines(tmp_path / "rows.jsonl", rows)
    number = {"function": "regex", "regex_pattern": "([0-9]+)"}
    filters = [{"name": "number", "filter": [number, {"function": "take_first"}]}]
    task = {**TASK, "filter_list": filters}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(task, sort_keys=False))
    return tmp_path


def evaluate(*words: str) -> str:
    line = [
        "eval",
        "model=student",
        "tasks=mine.yaml",
        "backend=dice",
        "seeds=1-16",
        "protocol=minillm",
    ]
    outcome = run([*line, *words])
    assert outcome.code == 0, (outcome.err, outcome.error)
    return outcome.out


def test_sixteen_seeds_become_columns_of_a_table(folder: Path) -> None:
    out = evaluate("metrics=rougeL,pass,maj@3,avg,eos_rate")
    assert "64 samples generated" in out
    (stored,) = folder.glob("results/student/*/mine.json")
    result = json.loads(stored.read_text())
    names = {"avg@16", "maj@3", *(f"pass@{k}" for k in (1, 2, 4, 8, 16))}
    assert {name for name in result["metrics"] if "@" in name} == names
    for k in (1, 4, 16):
        expected = [1 - comb(16 - c, k) / comb(16, k) for c in RIGHT.values()]
        assert result["documents"][f"pass@{k}"] == pytest.approx(expected, abs=1e-6)
        value = result["metrics"][f"pass@{k}"]["value"]
        assert value == pytest.approx(sum(expected) / 4, abs=1e-6)
    assert result["documents"]["avg@16"] == [4 / 16, 0, 1, 1 / 16]
    assert result["documents"]["exact_match,number"] == [4 / 16, 0, 1, 1 / 16]
    assert result["metrics"]["eos_rate"]["value"] == 1.0
    assert result["main_metric"] == "exact_match,number"  # the task's own
    # Scores of several responses are not those of one.
    line = json.loads((stored.parent / "samples" / "mine.jsonl").read_text().splitlines()[0])
    assert not [name for name in line["scores"] if "@" in name]
    table = run(["table", "tasks=mine", "columns=pass@8,maj,eos_rate", "published=none"]).out
    assert table.splitlines()[0].split() == ["pass@8", "↑", "maj@3", "↑", "eos_rate", "↑"]


def test_another_k_is_measured_later_without_generating(folder: Path) -> None:
    evaluate("metrics=rougeL")
    assert "0 samples generated" in evaluate("metrics=pass@8")
    assert "0 samples generated" in evaluate("metrics=pass@2")
    (stored,) = folder.glob("results/student/*/mine.json")
    assert {"rougeL", "pass@2", "pass@8"} <= set(json.loads(stored.read_text())["metrics"])
    before = stored.read_bytes(), stored.stat().st_mtime_ns
    evaluate("metrics=pass@8,pass@2")
    assert (stored.read_bytes(), stored.stat().st_mtime_ns) == before


def test_a_gate_holds_pass_at_8(folder: Path) -> None:
    evaluate("metrics=pass@8,exact_match", "name=base")
    evaluate("metrics=pass@8,exact_match", "name=new")
    (base,), (new,) = folder.glob("results/base/*"), folder.glob("results/new/*")
    outcome = run(["compare", str(base), str(new), "tolerance=pass@8:0.02"])
    assert outcome.code == 0, outcome.err
    assert "pass@8" in outcome.out
    gate = "regress model=student tasks=mine.yaml backend=dice seeds=1-16 baseline=g gates=gates"
    updated = run([*gate.split(), "tolerance=pass@8:0.02", "--update", "reason=first"])
    assert updated.code == 0, updated.err
    assert run(gate.split()).code == 0


def test_a_free_form_task_says_why_there_is_no_number(folder: Path) -> None:
    line = "eval model=student tasks=dolly data=data backend=echo seeds=1-2 metrics=rougeL,pass,maj"
    outcome = run(line.split())
    assert outcome.code == 0, outcome.err
    assert "dolly: not a task whose answers are known to be right or wrong" in outcome.out
    assert "so there will be no number for pass, maj; a YAML with exact_match or" in outcome.err
