"""Options are measured once, in any company, and stored by document."""

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lm_eval_tasks import write_tasks
from transformers import AutoModelForCausalLM, AutoTokenizer

import kdbench
from kdbench.errors import InputError
from kdbench.measuring.likelihood.answers import answer_record, read_answer
from kdbench.measuring.measurement import Evaluation
from kdbench.toy.models import World


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tasks(tmp_path_factory.mktemp("yaml"))


@pytest.fixture(autouse=True)
def _hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))


def run(world: World, folder: Path, results: Path, **keys: Any) -> Evaluation:
    given = {"model": str(world.student), "tasks": str(folder / "choice.yaml"), **keys}
    return kdbench.evaluate(protocol="greedy", results=results, device="cpu", **given)


def lines(evaluation: Evaluation, task: str = "choice") -> list[dict[str, Any]]:
    text = (evaluation.run / "samples" / f"{task}.options.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_a_line_holds_what_the_model_says_of_each_option(
    world: World, folder: Path, tmp_path: Path
) -> None:
    evaluation = run(world, folder, tmp_path)
    line = lines(evaluation)[1]
    assert (line["id"], line["gold"]) == ("q1", [1])
    assert [option["text"] for option in line["options"]] == [" Paris", " a very old town", " Oslo"]
    assert [option["n_bytes"] for option in line["options"]] == [5, 15, 4]
    tokenizer = AutoTokenizer.from_pretrained(world.student)
    model = AutoModelForCausalLM.from_pretrained(world.student)
    for option in line["options"]:
        # The space at the end of the context belongs to the continuation.
        context, text = "Where does Olga 1 live?", f" {option['text']}"
        whole = tokenizer(context + text, add_special_tokens=False)["input_ids"]
        start = len(tokenizer(context, add_special_tokens=False)["input_ids"])
        with torch.no_grad():
            log_p = torch.log_softmax(model(torch.tensor([whole])).logits[0], -1)
        expected = sum(float(log_p[at - 1, whole[at]]) for at in range(start, len(whole)))
        assert option["log_p"] == pytest.approx(expected, abs=1e-4)
        assert option["n_tokens"] == len(whole) - start
    values = [option["log_p"] for option in line["options"]]
    assert line["chosen"]["acc"] == values.index(max(values))
    per_char = [option["log_p"] / option["n_chars"] for option in line["options"]]
    assert line["chosen"]["acc_norm"] == per_char.index(max(per_char))
    assert line["scores"]["acc,none"] == float(line["chosen"]["acc"] == 1)
    assert evaluation.results["choice"].documents["acc,none"][1] == line["scores"]["acc,none"]


def test_scores_do_not_depend_on_company(world: World, folder: Path, tmp_path: Path) -> None:
    whole = {line["id"]: line["options"] for line in lines(run(world, folder, tmp_path / "a"))}
    few = {
        line["id"]: line["options"] for line in lines(run(world, folder, tmp_path / "b", limit=2))
    }
    for name, options in few.items():
        for one, other in zip(options, whole[name], strict=True):
            assert one["log_p"] == pytest.approx(other["log_p"], abs=1e-4)


def test_a_run_resumes_to_the_same_bytes_and_measures_nothing_twice(
    world: World, folder: Path, tmp_path: Path
) -> None:
    first = run(world, folder, tmp_path)
    assert first.generated == 7
    file, result = first.run / "samples" / "choice.options.jsonl", first.run / "choice.json"
    before = file.read_bytes(), result.read_bytes()
    assert run(world, folder, tmp_path).generated == 0
    # As after kill -9: some lines without scores, the last one torn, and no result.
    torn = lines(first)
    for line in torn:
        del line["scores"], line["chosen"]
    text = "".join(json.dumps(line, sort_keys=True) + "\n" for line in torn[3:6])
    file.write_text(text + json.dumps(torn[6])[:40])
    result.unlink()
    assert run(world, folder, tmp_path).generated == 4
    assert (file.read_bytes(), result.read_bytes()) == before
    file.write_bytes(before[0] + before[0].splitlines(keepends=True)[0])
    assert run(world, folder, tmp_path).generated == 0
    assert file.read_bytes() == before[0]


def test_shards_make_one_result(world: World, folder: Path, tmp_path: Path) -> None:
    parts = [run(world, folder, tmp_path, shard=f"{shard}/2") for shard in (0, 1)]
    assert [part.generated for part in parts] == [4, 3]
    assert not parts[0].results
    assert not list((parts[0].run / "samples").glob("*.shard-*.jsonl"))
    whole = run(world, folder, tmp_path / "whole").results["choice"]
    assert parts[1].results["choice"].documents == whole.documents


def test_a_model_without_transformers_is_asked_itself(
    world: World, folder: Path, tmp_path: Path
) -> None:
    tasks = tuple(str(folder / f"{name}.yaml") for name in ("choice", "rolling"))
    evaluation = run(
        world,
        folder,
        tmp_path,
        model="any",
        backend="lm_eval:dummy",
        tasks=tasks,
        max_prompt_tokens=None,
    )
    assert lines(evaluation)[0]["options"][0]["n_tokens"] is None
    assert math.isfinite(evaluation.results["rolling"].metrics["word_perplexity,none"].value or 0)


def test_a_teacher_and_texts_from_elsewhere_leave_options_alone(
    world: World, folder: Path, tmp_path: Path
) -> None:
    evaluation = run(world, folder, tmp_path, teacher=str(world.teacher), limit=2)
    assert evaluation.results["choice"].metrics["acc,none"].value is not None
    with pytest.raises(InputError, match="scored by likelihood"):
        kdbench.score(run=evaluation.run, task=str(folder / "choice.yaml"))


def test_a_perplexity_that_no_file_holds_is_null_with_its_reason(
    world: World, folder: Path, tmp_path: Path
) -> None:
    text = (folder / "last.yaml").read_text().replace("doc_to_target: word", "doc_to_target: text")
    (folder / "_large.yaml").write_text(text)
    evaluation = run(world, folder, tmp_path, tasks=str(folder / "_large.yaml"), limit=1)
    metric = evaluation.results["last"].metrics["perplexity,none"]
    assert metric.value is None
    assert re.fullmatch(r"\d\S+ is too large to store", metric.reason or "")


GOOD = {"log_p": -1.0, "greedy": False, "n_tokens": 1, "n_chars": 2, "n_bytes": 2, "text": " a"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": 5}, "'id' must be text"),
        ({"options": []}, "'options' must be a list"),
        ({"options": [5]}, "'log_p' of an option"),
        ({"options": [{**GOOD, "log_p": None}]}, "'log_p' of an option"),
        ({"options": [{**GOOD, "greedy": 1}]}, "'greedy'"),
        ({"options": [{**GOOD, "n_bytes": -1}]}, "lengths of an option"),
        ({"gold": [2]}, "'gold' must be a list of indices"),
        ({"unconditional": [1.0]}, "a number of each option"),
    ],
)
def test_a_malformed_line_is_named(change: dict[str, Any], message: str) -> None:
    line = {"id": "a", "gold": [0], "options": [GOOD, GOOD]}
    assert answer_record(read_answer(line, "x:1")) == line
    with pytest.raises(InputError, match=rf"^x:1: .*{message}"):
        read_answer({**line, **change}, "x:1")


def test_what_is_asked_is_stored_beside_the_options(
    world: World, folder: Path, tmp_path: Path
) -> None:
    evaluation = run(world, folder, tmp_path, limit=2)
    file = evaluation.run / "samples" / "choice.prompts.jsonl"
    stored = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["prompt"] for line in stored] == [
        f"Where does Olga {number} live? " for number in range(2)
    ]
    assert [line["references"] for line in stored] == [[" Rome"], [" a very old town"]]
    content = file.read_bytes()
    file.write_bytes(content[:-9])
    assert run(world, folder, tmp_path, limit=2) == evaluation
    assert file.read_bytes() == content


def test_a_task_with_options_keeps_its_categories(
    world: World, folder: Path, tmp_path: Path
) -> None:
    content = yaml.safe_load((folder / "choice.yaml").read_text())
    content["metadata"] = {**content.get("metadata", {}), "category": "end"}
    task = folder / "grouped.yaml"
    task.write_text(yaml.safe_dump({**content, "task": "grouped"}))
    evaluation = run(world, folder, tmp_path, tasks=str(task), limit=2)
    assert evaluation.results["grouped"].categories == ["Rome, has a fish."] * 2
    assert set(lines(evaluation, "grouped")[0]["scores"]) == {
        "acc_norm,none",
        "acc,none",
        "acc_bytes,none",
        "exact_match,none",
    }


def test_an_empty_option_is_scored_without_a_warning(
    world: World, folder: Path, tmp_path: Path
) -> None:
    row = {"question": "Where does Olga live?", "label": 0}  # lm-eval refuses it in the first row
    rows = [{"id": "a", "choices": ["Rome", "Oslo"]}, {"id": "b", "choices": ["Rome", ""]}]
    (folder / "empty.jsonl").write_text("".join(json.dumps(row | own) + "\n" for own in rows))
    text = (folder / "choice.yaml").read_text().replace("rows.jsonl", "empty.jsonl")
    (folder / "empty.yaml").write_text(text.replace("task: choice", "task: empty"))
    evaluation = run(world, folder, tmp_path, tasks=str(folder / "empty.yaml"))
    assert evaluation.results["empty"].metrics["acc,none"].n == 2
    assert lines(evaluation, "empty")[1]["options"][1]["n_chars"] == 0
