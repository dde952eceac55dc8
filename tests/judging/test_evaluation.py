"""`kdbench eval judge=…`: the checkpoint is measured, then judged by a server or a checkpoint."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scripted_server import ScriptedServer, error

import kdbench
from kdbench.errors import InputError
from kdbench.judging.local import LocalJudge
from kdbench.measuring.measurement import Evaluation
from kdbench.toy.models import World

FAST = {"tasks": "dolly", "limit": 2, "seeds": (10,), "max_new_tokens": 8, "metrics": "rougeL"}
SHORT = "{{ question }} {{ answer }}"  # the toy models have few positions


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


@pytest.fixture
def short(tmp_path: Path) -> Path:
    file = tmp_path / "short.j2"
    file.write_text(SHORT)
    return file


def evaluate(world: World, results: Path, **keys: Any) -> Evaluation:
    common = {"model": str(world.student), "data": world.data, "results": results, "device": "cpu"}
    return kdbench.evaluate(**{**common, **FAST, **keys})


def lines(evaluation: Evaluation) -> list[dict[str, Any]]:
    text = (evaluation.run / "samples" / "judge" / "dolly.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_a_server_judges_and_the_rest_of_the_result_stays(
    world: World, tmp_path: Path, server: ScriptedServer
) -> None:
    plain = evaluate(world, tmp_path / "plain").results["dolly"]
    keys = {"judge": "openai:scripted", "judge_url": server.url}
    judged = evaluate(world, tmp_path / "judged", **keys)
    result = judged.results["dolly"]
    assert result.fingerprint == plain.fingerprint
    assert {n: m for n, m in result.metrics.items() if n in plain.metrics} == plain.metrics
    scores = [line["scores"] for line in lines(judged)]
    ratio = 100 * sum(first for first, _ in scores) / sum(second for _, second in scores)
    assert result.metrics["judge"].value == pytest.approx(ratio)
    asked = len(server.bodies)
    assert evaluate(world, tmp_path / "judged", **keys) == judged
    assert len(server.bodies) == asked


def test_the_teacher_is_the_opponent_and_its_metrics_stay(
    world: World, tmp_path: Path, server: ScriptedServer
) -> None:
    keys = {"teacher": str(world.teacher), "metrics": "top1@ref", "judge": "openai:scripted"}
    address = {"judge_url": server.url, "judge_against": "teacher"}
    done = evaluate(world, tmp_path, **keys, **address).results["dolly"]
    assert {"top1@ref", "win_rate@teacher", "rougeL"} <= set(done.metrics)
    fidelity = {"teacher": str(world.teacher), "metrics": "top1@teacher"}
    again = evaluate(world, tmp_path, **fidelity).results["dolly"]  # without a judge
    assert again.metrics["win_rate@teacher"] == done.metrics["win_rate@teacher"]
    assert "top1@teacher" in again.metrics


def test_a_new_metric_keeps_the_judges(
    world: World, tmp_path: Path, server: ScriptedServer
) -> None:
    done = evaluate(world, tmp_path, judge="openai:scripted", judge_url=server.url)
    again = evaluate(world, tmp_path, metrics="rougeL,empty")
    assert again.results["dolly"].metrics["judge"] == done.results["dolly"].metrics["judge"]
    assert "empty" in again.results["dolly"].metrics


def test_a_judge_that_cannot_be_asked_is_told_before_the_work(world: World, tmp_path: Path) -> None:
    with ScriptedServer() as server:
        url = server.url
    with pytest.raises(InputError, match="no connection"):
        evaluate(world, tmp_path, judge="openai:scripted", judge_url=url)
    with pytest.raises(InputError, match="judge_against=nobody"):
        evaluate(world, tmp_path, judge="openai:scripted", judge_url=url, judge_against="nobody")
    with pytest.raises(InputError, match="judge=nowhere: no such folder"):
        evaluate(world, tmp_path, judge="nowhere")
    assert not list(tmp_path.iterdir())


def test_a_judge_that_fails_leaves_the_measured_result(world: World, tmp_path: Path) -> None:
    refuses = pytest.raises(InputError, match="wants a key")
    with ScriptedServer(lambda number, question: error(403)) as server, refuses:
        evaluate(world, tmp_path, judge="openai:scripted", judge_url=server.url)
    assert "rougeL" in evaluate(world, tmp_path).results["dolly"].metrics


def test_a_checkpoint_judges_and_is_not_loaded_again(
    world: World, tmp_path: Path, short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The toy teacher never replies in the form of a judgement; each reply is counted as such."""
    keys = {"judge": str(world.teacher), "judge_prompt": short, "judge_max_tokens": 6}
    released = []
    monkeypatch.setattr(
        LocalJudge, "release", lambda judge: released.append(judge._backend is not None)
    )
    done = evaluate(world, tmp_path / "results", **keys)
    result = done.results["dolly"]
    assert result.metrics["judge_unparsable"].value == 1
    assert result.metrics["judge_score"].reason == "the judge gave no score that could be read"
    assert result.judge["score"]["judge"]["kind"] == "checkpoint"
    assert len(result.judge["score"]["judge"]["sha256"]) == 64
    found = lines(done)
    assert sorted((line["id"], line["try"]) for line in found) == [
        (document, number) for document in result.documents["id"] for number in (1, 2)
    ]
    assert all(0 < line["reply_tokens"] <= 6 < line["prompt_tokens"] for line in found)
    assert released == [True]
    assert evaluate(world, tmp_path / "results", **keys) == done
    assert released == [True, False]  # the second time it was not loaded


def test_a_question_that_does_not_fit_is_declined(world: World, tmp_path: Path) -> None:
    done = evaluate(world, tmp_path, judge=str(world.teacher))
    assert done.results["dolly"].metrics["judge_refused"].value == 1
    assert {line["status"] for line in lines(done)} == {"too long"}


def test_tasks_with_options_are_left_to_themselves(
    world: World, tmp_path: Path, server: ScriptedServer
) -> None:
    keys = {"judge": "openai:scripted", "judge_url": server.url, "metrics": ()}
    done = evaluate(world, tmp_path, tasks="dolly,skills_kinds", **keys)
    assert "judge" in done.results["dolly"].metrics
    assert done.results["skills_kinds"].main_metric == "acc,none"
    with pytest.raises(InputError, match="options, not responses to judge"):
        evaluate(world, tmp_path, tasks="skills_kinds", **keys)
