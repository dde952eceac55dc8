"""Prompts without references: what compares with them is null, and everything else remains."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kdbench
from kdbench.errors import InputError
from kdbench.generate import Sample, hf
from kdbench.measuring.scoring import score_task
from kdbench.metrics import make_metrics
from kdbench.protocol import get_protocol
from kdbench.store.results import TaskResult, read_task
from kdbench.task import NO_REFERENCES, load_tasks
from kdbench.toy.models import World

PROTOCOL = get_protocol("greedy", {"seeds": (1,)})
TEXTS = ["a b c", "", "a x"]


def scored(folder: Path, *rows: dict[str, Any]) -> TaskResult:
    (folder / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (task,) = load_tasks([str(folder / "mine.jsonl")])
    samples = {
        (document.id, 1): Sample(document.id, 1, text, len(text.split()), "stop", ())
        for document, text in zip(task.documents, TEXTS, strict=False)
    }
    metrics = [metric for metric in make_metrics() if metric.name != "lm_loss"]
    return score_task(task, PROTOCOL, samples, metrics, {})[0]


def test_metrics_count_the_prompts_that_have_references(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"prompt": "p"} for _ in TEXTS]
    some = scored(tmp_path, {**rows[0], "reference": "a b c"}, *rows[1:])
    assert some.documents["rougeL"] == [100.0, None, None]
    assert (some.metrics["rougeL"].value, some.metrics["rougeL"].n) == (100.0, 1)
    assert some.metrics["empty"].value == pytest.approx(1 / 3)
    assert some.main_metric == "rougeL"
    none = scored(tmp_path, *rows)
    for name in ("rougeL", "exact_match"):
        metric = none.metrics[name]
        assert (metric.value, metric.n, metric.reason) == (None, 0, NO_REFERENCES)
    assert none.metrics["distinct_1"].value == pytest.approx(4 / 5)
    assert none.metrics["response_length"].value == pytest.approx(5 / 3)
    assert none.metrics[none.main_metric].direction == "lower"
    assert "category" not in none.documents


def test_categories_are_stored_and_read_back(tmp_path: Path) -> None:
    from kdbench.store.folder import RunFolder

    result = scored(tmp_path, {"prompt": "p", "category": "x"}, {"prompt": "p"})
    assert result.categories == ["x", None]
    stored = RunFolder(tmp_path).write_task(result)
    assert stored.categories == ["x", None]
    path = tmp_path / "mine.json"
    content = json.loads(path.read_text())
    for wrong in (["x"], ["x", 3], "x"):
        content["documents"]["category"] = wrong
        path.write_text(json.dumps(content))
        with pytest.raises(InputError, match=r"mine\.json: .*documents.category: must be a list"):
            read_task(path)


def test_a_student_and_its_teacher(world: World, tmp_path: Path) -> None:
    rows = [
        {"prompt": "Name a pet."},
        {"instruction": "Add.", "input": "1 2", "category": "sum"},
        {"prompt": "Say b.", "category": "b"},
    ]
    path = tmp_path / "mine.jsonl"
    text = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_text(text)
    keys: dict[str, Any] = {
        "model": str(world.student),
        "teacher": str(world.teacher),
        "tasks": f"{path},vicuna",
        "data": str(world.data),
        "results": str(tmp_path / "results"),
        "max_new_tokens": 4,
        "seeds": "1,2",
        "limit": 3,
        "metrics": "all",
        "device": "cpu",
    }
    done = kdbench.evaluate(**keys)
    mine, vicuna = done.results["mine"], done.results["vicuna"]
    assert set(mine.metrics) == set(vicuna.metrics)
    null = {name for name, metric in mine.metrics.items() if metric.reason == NO_REFERENCES}
    at_reference = {name for name in mine.metrics if name.endswith(("@ref", "-ref"))}
    assert at_reference <= null
    quality = {"rougeL", "exact_match", "lm_loss", "rougeL_retained", "accuracy_retained"}
    assert quality | {"answer_agreement", "relative_negative_flips"} <= null
    assert NO_REFERENCES not in {metric.reason for metric in vicuna.metrics.values()}
    remaining = ("acceptance@student", "fkl@teacher", "rougeL_teacher", "length_ratio", "empty")
    assert all(mine.metrics[name].value is not None for name in remaining)
    assert mine.categories == [None, "sum", "b"]

    file = done.run / "mine.json"
    before = file.read_bytes()
    assert kdbench.evaluate(**keys).generated == 0
    kdbench.score(run=str(done.run), task=str(path))
    assert file.read_bytes() == before

    path.write_text(text.replace('"b"}', '"c"}'))  # a category alone
    again = kdbench.evaluate(**keys)
    assert again.generated == 0
    assert again.results["mine"].categories == [None, "sum", "c"]
    assert again.results["mine"].metrics == mine.metrics
    path.write_text(text.replace("Say b.", "Say c."))
    with pytest.raises(InputError, match="stored samples for 'mine' were generated from different"):
        kdbench.evaluate(**keys)


def test_some_references_with_a_teacher(world: World, tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    rows = [{"prompt": "Name a pet.", "reference": "A cat."}, {"prompt": "Say b."}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = kdbench.evaluate(
        model=str(world.student),
        teacher=str(world.teacher),
        tasks=str(path),
        results=str(tmp_path / "results"),
        max_new_tokens=4,
        seeds="1",
        metrics="lm_loss,top1@ref,fkl@student-ref,rougeL_retained",
        device="cpu",
    )
    mine = done.results["mine"]
    for name in ("lm_loss", "top1@ref", "fkl@student-ref"):
        assert (mine.metrics[name].n, mine.metrics[name].value is None) == (1, False)
    assert mine.documents["lm_loss"][1] is None
    assert np.isfinite(mine.documents["top1@ref"][0])
    assert mine.documents["top1@ref"][1] is None


def test_conversations_need_the_chat_protocol_before_a_model_loads(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hf, "load_checkpoint", None)  # a call would fail
    path = tmp_path / "talk.jsonl"
    path.write_text('{"messages": [{"role": "user", "content": "Hi."}]}\n')
    with pytest.raises(InputError, match="lists of chat turns: use protocol=chat"):
        kdbench.evaluate(model=str(world.student), tasks=str(path), results=tmp_path)
