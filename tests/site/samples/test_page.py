"""The data of the page Samples reproduce what is stored."""

import base64
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kdbench.errors import InputError
from kdbench.site.page import data_name
from kdbench.store.results import read_task
from kdbench.store.token_details import read_details


def lines(run: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(x) for x in (run / f"samples/{name}.jsonl").read_text("utf-8").splitlines()]


def column(text: str, kind: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), kind)


@pytest.fixture
def results(sites: Any, tmp_path: Path) -> Path:
    return shutil.copytree(sites.results, tmp_path / "results")


def only_run(results: Path, model: str) -> Path:
    (run,) = (file.parent for file in results.glob(f"{model}/*/dolly.json"))
    return run


def test_pages_reproduce_prompts_and_samples(results: Path, made: Any, unpacked: Any) -> None:
    page = made(results, baseline="SFT")
    (task,) = (task for task in page.data["samples"]["tasks"] if task["name"] == "dolly")
    index = unpacked(page, f"{task['data']}.index")
    documents = [d for n in range(task["pages"]) for d in unpacked(page, f"{task['data']}.{n}")]
    assert index["runs"][0]["label"].startswith("SFT")
    assert [run["teacher"] for run in index["runs"]] == [False, False, True]
    for number, run in enumerate(index["runs"]):
        folder = results / run["run"]
        stored = lines(folder, "dolly")
        shown = [
            {"id": id_, **response}
            for id_, document in zip(index["ids"], documents, strict=True)
            for response in document["runs"][str(number)]
        ]
        for sample in stored:
            del sample["tokens"]
        assert shown == stored
        prompts = [{"id": i, **d["asked"]} for i, d in zip(index["ids"], documents, strict=True)]
        assert prompts == lines(folder, "dolly.prompts")


def test_the_index_holds_the_stored_numbers(results: Path, made: Any, unpacked: Any) -> None:
    index = unpacked(made(results), "samples.dolly.index")
    assert (index["score"], index["unit"], index["lower"]) == ("rougeL", "points", False)
    for run in index["runs"]:
        stored = read_task(results / run["run"] / "dolly.json")
        for key, name in (("score", "rougeL"), ("acceptance", "acceptance@student")):
            expected = stored.documents.get(name, [None] * len(index["ids"]))
            found = column(run[key], "<f4")
            assert found == pytest.approx(np.array(expected, dtype=float), abs=1e-4, nan_ok=True)
        samples = lines(results / run["run"], "dolly")
        for number, document in enumerate(index["ids"]):
            own = [s for s in samples if s["id"] == document]
            length = np.mean([s["n_tokens"] for s in own])
            assert column(run["length"], "<u2")[number] == int(length)
            bits = column(run["flags"], "u1")[number]
            assert bool(bits & 2) == any(s["finish"] == "length" for s in own)
            assert bool(bits & 4) == any(not s["output"].strip() for s in own)
        assert run["details"]


def test_token_details_are_passed_on_as_stored(results: Path, made: Any, unpacked: Any) -> None:
    page = made(results)
    index = unpacked(page, "samples.dolly.index")
    for number, run in enumerate(index["runs"][:2]):
        (file,) = (results / run["run"] / "samples").glob("dolly.tokens-*")
        stored = {(x["id"], x["seed"]): x for x in map(json.loads, file.read_text().splitlines())}
        documents = unpacked(page, "samples.dolly.0.tokens")
        found = {
            (id_, int(seed)): columns
            for id_, document in zip(index["ids"], documents, strict=True)
            for seed, columns in document[str(number)].items()
        }
        assert {key: columns[:2] for key, columns in found.items()} == {
            key: [line["tokens"], line["acceptance"]] for key, line in stored.items()
        }


def test_rejected_tokens_are_summed_over_all_responses(
    results: Path, made: Any, unpacked: Any
) -> None:
    page = made(results)
    index, tokens = (unpacked(page, f"samples.dolly.{name}") for name in ("index", "tokens"))
    for number, run in enumerate(index["runs"][:2]):
        (file,) = (results / run["run"] / "samples").glob("dolly.tokens-*")
        sums: dict[int, list[float]] = {}
        for line in map(json.loads, file.read_text().splitlines()):
            details = read_details(line, "here")
            for token, rate in zip(details.tokens.tolist(), details.acceptance, strict=True):
                sums.setdefault(token, []).append(1 - rate)
        assert tokens["totals"][str(number)] == pytest.approx(
            sum(map(sum, sums.values())), abs=1e-3
        )
        texts = tokens["texts"][tokens["of"][str(number)]]
        first = max(sums, key=lambda token: sum(sums[token]))
        row = next(row for row in tokens["rejected"] if row["text"] == texts[str(first)])
        known = row["runs"][str(number)]
        assert known["n"] == len(sums[first])
        assert known["rejected"] == pytest.approx(sum(sums[first]), abs=1e-3)
        lowest = sorted(1 - x for x in sums[first] if 1 - x < 0.5)[:3]
        assert [e[3] for e in known["examples"]] == pytest.approx(lowest, abs=1e-3)


def test_heads_leave_the_template_out(results: Path, made: Any, unpacked: Any) -> None:
    heads = unpacked(made(results), "samples.dolly.heads")
    assert len(heads) == 6
    assert not any("###" in head for head in heads)
    assert all(heads)


def test_options_take_the_place_of_responses(results: Path, made: Any, unpacked: Any) -> None:
    run = only_run(results, "student")
    option = {"log_p": -1.5, "greedy": True, "n_tokens": 1, "n_chars": 5, "n_bytes": 5}
    two = [{**option, "text": " Paris"}, {**option, "text": " Rome", "log_p": -3.0}]
    ids = [line["id"] for line in lines(run, "skills_sums")][::2]
    stored = [{"id": i, "gold": [0], "options": two, "chosen": {"acc": 0}} for i in ids]
    (run / "samples/skills_sums.jsonl").unlink()
    (run / "samples/skills_sums.options.jsonl").write_text(
        "".join(json.dumps(line) + "\n" for line in stored)
    )
    page, name = made(results, baseline="SFT"), data_name("samples", "skills_sums")
    assert unpacked(page, f"{name}.index")["runs"][0]["options"]
    documents = unpacked(page, f"{name}.0")
    assert [{"id": i, **d["runs"]["0"][0]} for i, d in zip(ids, documents, strict=True)] == stored


def test_a_run_that_was_asked_differently_shows_its_own_prompt(
    results: Path, made: Any, unpacked: Any
) -> None:
    file = only_run(results, "noisy") / "samples/dolly.prompts.jsonl"
    prompts = [json.loads(line) for line in file.read_text().splitlines()]
    prompts[2]["prompt"] = "Else?"
    file.write_text("".join(json.dumps(line) + "\n" for line in prompts))
    page = made(results, baseline="SFT")
    index = unpacked(page, "samples.dolly.index")
    number = next(n for n, run in enumerate(index["runs"]) if run["run"].startswith("noisy"))
    documents = unpacked(page, "samples.dolly.0")
    assert [document["other"].keys() for document in documents] == [
        {str(number)} if place == 2 else set() for place in range(6)
    ]
    assert documents[2]["other"][str(number)]["prompt"] == "Else?"


def test_judged_and_right_answers_can_be_filtered(
    results: Path, made: Any, unpacked: Any, with_column: Any
) -> None:
    run = only_run(results, "student")
    with_column(run, "dolly", "win_rate@gpt", [1.0, 0.5, 0.0, None, 0.9, 0.1])
    with_column(run, "dolly", "exact_match", [100.0, 0.0, 60.0, 50.0, None, 0.0])
    index = unpacked(made(results, baseline="SFT"), "samples.dolly.index")
    bits = column(index["runs"][0]["flags"], "u1")
    assert [bool(b & 32) for b in bits] == [True, False, False, False, True, False]
    assert [bool(b & 64) for b in bits] == [False, False, True, False, False, True]
    assert [bool(b & 8) for b in bits] == [True, False, True, False, False, False]
    assert [bool(b & 16) for b in bits] == [False, True, False, True, False, True]


def test_results_without_samples_have_a_note(results: Path, made: Any) -> None:
    for folder in results.glob("*/*/samples"):
        shutil.rmtree(folder)
    page = made(results)
    assert not page.data
    assert "kept without samples" in page.html


def test_results_of_before_have_no_details(results: Path, made: Any, unpacked: Any) -> None:
    for file in results.rglob("*.tokens-*"):
        file.unlink()
    for file in results.rglob("*.prompts.jsonl"):
        file.unlink()
    page = made(results)
    assert not any(run["details"] for run in unpacked(page, "samples.dolly.index")["runs"])
    assert unpacked(page, "samples.dolly.0")[0]["asked"] is None
    assert unpacked(page, "samples.dolly.heads") == []


def test_a_single_file_leaves_out_too_many_samples(
    results: Path, made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert made(results, single_file=True).data
    monkeypatch.setattr("kdbench.site.samples.page.LARGEST_INLINE", 1000)
    page = made(results, single_file=True)
    assert not page.data
    assert "too large for a single file" in page.html
    assert made(results).data


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("dolly", "oops\n", r"dolly\.jsonl:1: not a line of JSON"),
        ("dolly", '{"id": "a", "output": 3}\n', r"dolly\.jsonl:1: 'output' must be a string"),
        ("dolly", '{"id": "a", "output": "", "scores": 3}\n', "'scores' must be an object"),
        ("dolly.prompts", "{}\n", r"dolly\.prompts\.jsonl:1: not a prompt"),
        ("dolly", "[]\n", r"dolly\.jsonl:1: not a JSON object"),
    ],
)
def test_a_malformed_line_is_named(
    results: Path, made: Any, name: str, text: str, fault: str
) -> None:
    (only_run(results, "student") / f"samples/{name}.jsonl").write_text(text)
    with pytest.raises(InputError, match=fault):
        made(results)


def test_samples_that_are_still_written_show_as_far_as_they_are(
    results: Path, made: Any, unpacked: Any
) -> None:
    file = only_run(results, "student") / "samples/dolly.jsonl"
    whole = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(reversed(whole[:5])) + whole[5][:10])
    page = made(results, baseline="SFT")
    index = unpacked(page, "samples.dolly.index")
    first = whole[4], whole[3]
    documents = dict(zip(index["ids"], unpacked(page, "samples.dolly.0"), strict=True))
    assert [r["output"] for r in documents[json.loads(first[0])["id"]]["runs"]["0"]] == [
        json.loads(line)["output"] for line in first[:1]
    ]
