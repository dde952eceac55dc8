"""The evidence of a loss: responses that differ, with their prompt and reference."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from gate_runs import Put

import kdbench
from kdbench.comparing import evidence
from kdbench.comparing.outputs.markdown import markdown
from kdbench.comparing.outputs.terminal import terminal
from kdbench.task import Document
from kdbench.text import excerpts

N = 30


def put_pair(put: Put, tmp_path: Path, responses: dict[int, tuple[str, str]]) -> Path:
    """Runs `a` and `b`: `b` loses 40 points on each prompt, all of it with seed 20."""
    scores = np.full((N, 2), 60.0)
    lost = scores - np.array([0.0, 80.0])
    put("a", {"dolly": {"rougeL": scores}}, texts="same")
    put("b", {"dolly": {"rougeL": lost}}, texts="same")
    results = tmp_path / "results"
    for run, which in (("a", 0), ("b", 1)):
        (file,) = results.glob(f"{run}/*/samples/dolly.jsonl")
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        for line in lines:
            line["output"] = responses.get(line["seed"], ("same", "same"))[which]
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return results


def files(results: Path, folder: Path, **more: Any) -> dict[str, str]:
    names = {"markdown": "c.md", "junit": "j.xml", "json": "n.json"}
    paths = {key: folder / name for key, name in names.items()}
    comparison = kdbench.compare(base="a", new="b", results=results, **paths, **more)
    return {"terminal": terminal(comparison), **{k: p.read_text() for k, p in paths.items()}}


def test_the_seed_that_differs_most_is_shown_everywhere(put: Put, tmp_path: Path) -> None:
    results = put_pair(put, tmp_path, {10: ("first", "first"), 20: ("good", "bad")})
    written = files(results, tmp_path)
    content = json.loads(written["json"])
    worst = content["rows"]["dolly:rougeL"]["worst"]
    assert len(worst) == 5
    for prompt in worst:
        shown = prompt["evidence"]
        assert (shown["seed"], shown["base"], shown["new"]) == (20, "good", "bad")
        assert (shown["base_score"], shown["new_score"]) == (60, -20)
    assert "  - seed: 20 (60.00 → -20.00)\n  - base: good\n  - new: bad\n" in written["markdown"]
    assert "    base: good\n    new: bad\n" in written["terminal"]
    failure = ET.fromstring(written["junit"])[0][0].find("failure")
    assert failure is not None
    assert "base: good\n  new: bad" in str(failure.text)
    assert "first" not in "".join(written.values())


@pytest.mark.parametrize("text", ["same", "same \n", "\x1bsame"])
def test_texts_that_look_the_same_are_no_evidence(put: Put, tmp_path: Path, text: str) -> None:
    results = put_pair(put, tmp_path, {20: ("same", text)})
    written = files(results, tmp_path)
    worst = json.loads(written["json"])["rows"]["dolly:rougeL"]["worst"]
    assert [prompt["evidence"] for prompt in worst] == [None] * 5
    assert "base: " not in written["markdown"] + written["terminal"] + written["junit"]


def test_long_texts_are_cut_where_they_differ() -> None:
    old, new = "x" * 500 + " the end", "x" * 500 + " another end"
    cut = excerpts([old, new], 100)
    assert cut[0] != cut[1]
    assert all(text.startswith("…x") and len(text) <= 102 for text in cut)
    assert excerpts(["a\nb", "c"], 100) == ["a b", "c"]


def test_a_baseline_has_no_texts_and_the_new_run_shows_its_worst(put: Put, tmp_path: Path) -> None:
    results = put_pair(put, tmp_path, {10: ("first", "first"), 20: ("good", "bad")})
    gate = {"baseline": "g", "gates": tmp_path / "gates", "results": results}
    (old,), (new,) = (list(results.glob(f"{name}/*")) for name in "ab")
    kdbench.regress(run=old, update=True, reason="why", **gate)
    comparison = kdbench.regress(run=new, **gate).comparison
    shown = comparison.rows[0].worst[0].evidence
    assert (shown.seed, shown.base, shown.new) == (20, None, "bad")
    assert "(not stored → " in markdown(comparison, "g")
    assert "  - base: (not stored)\n  - new: bad\n" in markdown(comparison, "g")


def test_damaged_samples_cost_the_evidence_and_not_the_verdict(put: Put, tmp_path: Path) -> None:
    results = put_pair(put, tmp_path, {20: ("good", "bad")})
    (file,) = results.glob("b/*/samples/dolly.jsonl")
    file.write_text('{"id": "dolly-0"}\n')
    comparison = kdbench.compare(base="a", new="b", results=results)
    assert comparison.exit_code == 1
    assert comparison.notes[0].startswith("dolly: no responses are shown: ")
    assert "dolly.jsonl:1: 'output' must be a string" in comparison.notes[0]


def test_prompt_and_reference_come_from_the_data(
    put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = put_pair(put, tmp_path, {20: ("good", "bad")})
    loaded = []

    documents = [Document(f"dolly-{i}", "Add 1.", "", ("3",), {}) for i in range(N)]
    task = SimpleNamespace(name="dolly", data={"sha256": "d"}, documents=documents)
    monkeypatch.setattr(evidence, "load_tasks", lambda *args: loaded.append(args) or [task])
    written = files(results, tmp_path, data=tmp_path / "data")
    assert loaded == [(["dolly"], tmp_path / "data")]
    for name in ("terminal", "markdown", "junit"):
        assert "prompt: Add 1." in written[name]
        assert "reference: 3" in written[name]
    task.data["sha256"] = "other"
    assert "Add 1." not in "".join(files(results, tmp_path, data=tmp_path / "data").values())


def test_a_task_name_in_a_file_loads_no_yaml(put: Put, tmp_path: Path) -> None:
    run = kdbench.comparing.scores.read_run(put("a", {"x": {"rougeL": np.zeros((3, 2))}}))
    assert evidence._documents(run, "x", tmp_path, ()) == {}
