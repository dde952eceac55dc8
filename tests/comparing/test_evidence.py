"""The evidence of a loss: responses that differ, with their prompt and reference."""

import json
import re
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from gate_runs import Put

import kdbench
from kdbench.comparing import evidence, kept_texts
from kdbench.comparing.baseline import BaselineOrigin, read_baseline, write_baseline
from kdbench.comparing.kept_texts import texts_record, texts_to_keep
from kdbench.comparing.model import ScoresOfSeed
from kdbench.comparing.outputs.markdown import markdown
from kdbench.comparing.outputs.terminal import terminal
from kdbench.comparing.scores import read_run
from kdbench.comparing.texts import PromptTexts, _text, questions, stored_texts
from kdbench.comparing.tolerance import parse_tolerances
from kdbench.errors import InputError
from kdbench.store.folder import RunFolder
from kdbench.store.prompts import StoredPrompt
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
        assert shown["differing"] == [{"seed": 20, "base": 60, "new": -20}]
        assert shown["n_seeds"] == 2
        assert shown["diff"] == [{"kind": "gone", "text": "good"}, {"kind": "new", "text": "bad"}]
    assert (
        "  - seeds that differ: 1 of 2: 20 (60.00 → -20.00)\n"
        "  - base, seed 20: <del>good</del>\n  - new, seed 20: <ins>bad</ins>\n"
    ) in written["markdown"]
    assert "    base, seed 20: [-good-]\n    new, seed 20: {+bad+}\n" in written["terminal"]
    failure = ET.fromstring(written["junit"]).find(".//failure")
    assert failure is not None
    assert "base, seed 20: [-good-]\n  new, seed 20: {+bad+}" in str(failure.text)
    assert "first" not in "".join(written.values())


@pytest.mark.parametrize("text", ["same", "same \n", "\x1bsame"])
def test_texts_that_look_the_same_are_no_evidence(put: Put, tmp_path: Path, text: str) -> None:
    results = put_pair(put, tmp_path, {20: ("same", text)})
    written = files(results, tmp_path)
    worst = json.loads(written["json"])["rows"]["dolly:rougeL"]["worst"]
    assert [prompt["evidence"] for prompt in worst] == [None] * 5
    assert "base, " not in written["markdown"] + written["terminal"] + written["junit"]


def test_long_texts_are_cut_where_they_differ() -> None:
    old, new = "x" * 500 + " the end", "x" * 500 + " another end"
    cut = excerpts([old, new], 100)
    assert cut[0] != cut[1]
    assert all(text.startswith("…x") and len(text) <= 102 for text in cut)
    assert excerpts(["a\nb", "c"], 100) == ["a b", "c"]


def test_every_seed_that_differs_is_named_the_worst_first(put: Put, tmp_path: Path) -> None:
    results = put_pair(put, tmp_path, {10: ("one word", "one more word"), 20: ("good", "bad")})
    written = files(results, tmp_path)
    line = "seeds that differ: 2 of 2: 20 (60.00 → -20.00), 10 (60.00 → 60.00)\n"
    for name in ("terminal", "markdown", "junit"):
        assert line in written[name]


def keep(results: Path, folder: Path, texts: int) -> dict[str, Any]:
    """The settings of a gate whose baseline is the run `a`; the samples of `a` are gone."""
    gate = {"baseline": "g", "gates": folder / "gates", "results": results}
    (old,) = results.glob("a/*")
    kdbench.regress(run=old, update=True, reason="why", texts=texts, **gate)
    shutil.rmtree(old / "samples")
    (new,) = results.glob("b/*")
    return {"run": new, **gate}


def test_without_texts_in_the_baseline_the_new_run_shows_its_worst(
    put: Put, tmp_path: Path
) -> None:
    results = put_pair(put, tmp_path, {10: ("first", "first"), 20: ("good", "bad")})
    comparison = kdbench.regress(**keep(results, tmp_path, 0)).comparison
    assert "texts" not in json.loads((tmp_path / "gates" / "g.json").read_text())
    shown = comparison.rows[0].worst[0].evidence
    assert (shown.seed, shown.base, shown.new, shown.diff) == (20, None, "bad", ())
    text = markdown(comparison, "g")
    assert "20 (? → -20.00)" in text
    assert "  - base, seed 20: (not stored)\n  - new, seed 20: bad\n" in text


def test_a_baseline_with_texts_shows_both_without_samples(put: Put, tmp_path: Path) -> None:
    results = put_pair(put, tmp_path, {10: ("first", "first"), 20: ("good", "bad")})
    (old,) = results.glob("a/*")
    RunFolder(old).write_prompts(
        "dolly", [StoredPrompt(f"dolly-{i}", f"Add {i}.", "", 3, (), ("3", "4")) for i in range(N)]
    )
    settings = keep(results, tmp_path, N)
    for prompt in kdbench.regress(**settings).comparison.rows[0].worst:
        shown = prompt.evidence
        assert (shown.seed, shown.base, shown.new) == (20, "good", "bad")
        assert [span.kind for span in shown.diff] == ["gone", "new"]
        assert shown.differing == (ScoresOfSeed(20, 60, -20),)
        assert (shown.prompt, shown.references) == (f"Add {prompt.id[6:]}.", ("3", "4"))
    text = markdown(kdbench.regress(**settings).comparison, "g")
    assert "  - prompt: Add 0.\n  - reference 1 of 2: 3\n  - reference 2 of 2: 4\n" in text


def test_a_baseline_keeps_what_has_most_to_lose_and_stays_small(
    put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mean = np.array([5.0, 90.0, 40.0, 70.0])
    cut = np.array([1.0, 0.5, 0.0, 0.5])
    scores = {"dolly": {"rougeL": np.stack([mean] * 2, 1), "cut_off": np.stack([cut] * 2, 1)}}
    run = read_run(put("a", scores, texts="text"))
    best, both = parse_tolerances("rougeL:1"), parse_tolerances("rougeL:1,cut_off:0")
    assert list(texts_to_keep(run, best, 3)["dolly"]) == ["dolly-1", "dolly-3", "dolly-2"]
    assert list(texts_to_keep(run, both, 2)["dolly"]) == ["dolly-1", "dolly-2"]
    assert texts_to_keep(run, best, 0) == {}
    size = len(json.dumps(texts_record(texts_to_keep(run, best, 1)["dolly"]["dolly-1"], best)))
    monkeypatch.setattr(kept_texts, "LIMIT", 2 * size)
    assert len(texts_to_keep(run, best, 4)["dolly"]) == 2


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda t: t.update({"dolly:x": t["dolly:dolly-0"]}), "there is no prompt 'dolly:x'"),
        (lambda t: t["dolly:dolly-0"].update(references="a"), "references': "),
        (lambda t: t["dolly:dolly-0"].update(prompt=5), "prompt': "),
        (lambda t: t["dolly:dolly-0"]["responses"].update(x={"output": "a"}), "'x' is no seed"),
        (lambda t: t["dolly:dolly-0"]["responses"]["10"].update(output=1), "output': "),
        (lambda t: t["dolly:dolly-0"]["responses"]["10"].update(scores={"a": 1e99}), "a score is"),
    ],
)
def test_broken_texts_of_a_baseline(
    put: Put, tmp_path: Path, change: Callable[[dict], object], complaint: str
) -> None:
    run = read_run(put("a", {"dolly": {"rougeL": np.full((3, 2), 50.0)}}, texts="text"))
    path = tmp_path / "g.json"
    write_baseline(path, run, parse_tolerances("1"), BaselineOrigin("me", "now", "why"), 3)
    content = json.loads(path.read_text())
    change(content["texts"])
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=re.escape(complaint)) as caught:
        read_baseline(path)
    assert "\n" not in str(caught.value)


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
    assert evidence._data_texts(run, "x", tmp_path, ()) == {}


def test_stored_prompts_need_no_data_set(
    put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = put_pair(put, tmp_path, {20: ("good", "bad")})
    (new,) = results.glob("b/*")
    template = "Answer.\n\nQuestion:\n{}\n\nResponse:\n"
    asked = [StoredPrompt(f"dolly-{i}", template.format(f"Add {i}."), "", 3) for i in range(N)]
    RunFolder(new).write_prompts("dolly", asked)
    monkeypatch.setattr(evidence, "load_tasks", None)
    written = files(results, tmp_path, data=tmp_path / "data")
    for name in ("terminal", "markdown", "junit"):
        assert "prompt: Add 0.\n" in written[name]
    worst = json.loads(written["json"])["rows"]["dolly:rougeL"]["worst"][0]["evidence"]
    assert worst["prompt"] == template.format("Add 0.")
    (file,) = new.glob("samples/dolly.prompts.jsonl")
    file.write_text("{}\n")
    comparison = kdbench.compare(base="a", new="b", results=results)
    assert comparison.exit_code == 1
    assert "dolly.prompts.jsonl:1: not a prompt: " in comparison.notes[0]


def test_a_conversation_is_shown_by_its_turns() -> None:
    turns = tuple(
        {"role": role, "content": text} for role, text in [("system", "S"), ("user", "U")]
    )
    assert _text(StoredPrompt("1", "<s>S<u>U", "", 3, turns)) == "system: S\nuser: U"
    assert _text(StoredPrompt("1", "<u>U", "", 3, turns[1:])) == "U"


def test_each_of_two_templates_is_left_out_of_its_prompts() -> None:
    long = "Do it with an input.\n\n{}\n\nGo:\n"
    prompts = {f"{i}": f"Do it.\n\nSay {i}.\n\nGo:\n" for i in range(4)}
    prompts |= {f"x{i}": long.format(f"Sort.\n{i}") for i in range(4)}
    prompts["other"] = "Do it alone.\n\nWhy?"
    asked = questions(prompts)
    assert (asked["1"], asked["x1"], asked["other"]) == ("Say 1.", "1", prompts["other"])
    assert questions({"a": "same\nx", "b": "same\nx"})["a"] == "same\nx"


def test_of_scored_options_the_chosen_ones_are_shown(put: Put, tmp_path: Path) -> None:
    """`acc_norm` divides by the length, so it chooses the longer option."""
    one = np.ones((6, 2))
    scores = {"acc,none": one, "acc_norm,none": one}
    worse = {"acc,none": one, "acc_norm,none": one * 0}
    runs = [put("a", {"quiz": scores}), put("b", {"quiz": worse})]
    for run, long, of_run in ((runs[0], -4.0, scores), (runs[1], -9.0, worse)):
        lines = [
            {
                "id": f"quiz-{number}",
                "gold": [1],
                "options": [
                    {"log_p": p, "greedy": False, "n_tokens": 1, "text": f" {text}",
                     "n_chars": len(text), "n_bytes": len(text)}
                    for text, p in (("no", -3.0), ("indeed", long))
                ],
                "scores": {name: float(values[number, 0]) for name, values in of_run.items()},
            }
            for number in range(6)
        ]  # fmt: skip
        RunFolder(run).lines("quiz.options").replace(lines)
    settings = {"results": tmp_path / "results", "tolerance": "acc_norm:0.1"}
    comparison = kdbench.compare(base="a", new="b", **settings)
    text = terminal(comparison)
    assert "    base chose: [-indeed-]\n    new chose: {+no+}\n" in text
    assert "seed" not in text.partition("largest losses")[2]
    shown = comparison.rows[0].worst[0].evidence
    assert (shown.seed, shown.base_score, shown.new_score) == (None, 1, 0)

    gate = {"baseline": "g", "gates": tmp_path, **settings}
    kdbench.regress(run=runs[0], update=True, reason="why", **gate)
    shutil.rmtree(runs[0] / "samples")
    (row,) = kdbench.regress(run=runs[1], **gate).comparison.rows
    assert row.worst[0].evidence == shown
    assert kept_texts.texts_record(read_choices_of(runs[1]), {}) == {
        "prompt": None, "references": [],
        "responses": {"0": {"output": "no", "scores": {},
                            "choices": {"acc": "no", "acc_norm": "no", "acc_bytes": "no"}}},
    }  # fmt: skip


def read_choices_of(run: Path) -> PromptTexts:
    return stored_texts(run, "quiz", ["quiz-0"])["quiz-0"]
