"""A student beside its teacher on tasks that are scored by likelihood."""

import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from lm_eval_tasks import write_tasks
from scipy.special import rel_entr
from scipy.stats import binomtest

import kdbench
from kdbench.errors import InputError
from kdbench.fidelity.wanted import wanted_metrics
from kdbench.measuring.measurement import Evaluation
from kdbench.metrics import compares_with_teacher
from kdbench.store.results import MetricResult
from kdbench.toy.models import World

CELLS = ("rr", "rw", "wr", "wws", "wwd")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tasks(tmp_path_factory.mktemp("yaml"))


@pytest.fixture(autouse=True)
def _hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))


def run(world: World, folder: Path, results: Path, *tasks: str, **keys: Any) -> Evaluation:
    given = {"model": str(world.student), "teacher": str(world.teacher), "device": "cpu", **keys}
    paths = tuple(str(folder / f"{task}.yaml") for task in tasks or ("choice",))
    return kdbench.evaluate(tasks=paths, protocol="greedy", results=results, **given)


def metrics_of(evaluation: Evaluation, task: str = "choice") -> Mapping[str, MetricResult]:
    return evaluation.results[task].metrics


def lines(run_folder: Path, task: str) -> list[dict[str, Any]]:
    text = (run_folder / "samples" / f"{task}.options.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def softmax(line: Mapping[str, Any]) -> list[float]:
    weights = [math.exp(option["log_p"]) for option in line["options"]]
    return [weight / sum(weights) for weight in weights]


def test_numbers_are_those_by_hand_from_both_models_options(
    world: World, folder: Path, tmp_path: Path
) -> None:
    evaluation = run(world, folder, tmp_path)
    measured = metrics_of(evaluation)
    (teacher_run,) = (tmp_path / "teacher").iterdir()  # one run only: options have no seeds
    pairs = list(zip(lines(evaluation.run, "choice"), lines(teacher_run, "choice"), strict=True))
    assert len(pairs) == 7
    divergences = [rel_entr(softmax(t), softmax(s)).sum() for s, t in pairs]
    assert measured["option_fkl"].value == pytest.approx(sum(divergences) / 7, abs=2e-6)
    assert measured["option_fkl"].ci_low is not None
    chosen = [(s["chosen"]["acc"], t["chosen"]["acc"], s["gold"]) for s, t in pairs]
    agreement = sum(s == t for s, t, _ in chosen) / 7
    assert measured["answer_agreement"].value == pytest.approx(agreement, abs=1e-6)
    assert measured["answer_accuracy"].value == measured["acc,none"].value
    gained = sum(s in gold and t not in gold for s, t, gold in chosen)
    lost = sum(t in gold and s not in gold for s, t, gold in chosen)
    assert (gained, lost) == (
        round(7 * (measured["answers_wr"].value or 0)),
        round(7 * (measured["answers_rw"].value or 0)),
    )
    expected = binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert measured["answers_mcnemar"].value == pytest.approx(expected, abs=1e-6)
    shares = sum(measured[f"answers_{cell}"].value or 0 for cell in CELLS)
    assert shares == pytest.approx(1, abs=1e-5)
    assert {name for name in measured if compares_with_teacher(name)} == wanted_metrics(
        [], options=True
    ).names
    for name in ("answer_agreement", "option_fkl", "option_ece_gap"):
        assert (measured[name].per_seed, measured[name].seed_sd) == ({}, None)


def test_a_teacher_agrees_with_itself(world: World, folder: Path, tmp_path: Path) -> None:
    evaluation = run(world, folder, tmp_path, "choice", "targets", model=str(world.teacher))
    for task in ("choice", "targets"):
        measured = metrics_of(evaluation, task)
        for name in ("option_fkl", "option_rkl", "option_jsd", "option_ece_gap"):
            assert measured[name].value == 0
        assert (measured["answer_agreement"].value, measured["answers_mcnemar"].value) == (1, 1)
        assert measured["answers_rw"].value == measured["answers_wr"].value == 0


def test_each_kind_of_task_has_the_numbers_that_it_can_have(
    world: World, folder: Path, tmp_path: Path
) -> None:
    evaluation = run(world, folder, tmp_path, "last", "rolling", "answers", limit=4)
    last, rolling, answers = (
        metrics_of(evaluation, task) for task in ("last", "rolling", "answers")
    )
    assert "option_ece" not in last
    assert last[
        "option_fkl"
    ].reason == "not a multiple-choice task, so there are no options to " + ("choose from")
    assert sum(last[f"answers_{cell}"].value or 0 for cell in CELLS) == pytest.approx(1)
    assert last["answers_wws"].value == 0  # what either would say instead is unknown
    assert rolling["answer_agreement"].value is None
    assert "closed answers" in (rolling["answer_agreement"].reason or "")
    assert not any(name.startswith("option_") for name in answers)
    assert answers["top1@student"].value is not None


def test_metrics_of_responses_are_null_with_their_reason_if_they_are_named(
    world: World, folder: Path, tmp_path: Path
) -> None:
    named = ("top1", "rougeL_teacher", "exposure_error", "option_jsd")
    measured = metrics_of(run(world, folder, tmp_path, metrics=named, limit=2))
    for name in ("top1@ref", "top1@student-ref", "rougeL_teacher", "exposure_error"):
        assert measured[name].value is None
        assert measured[name].reason == (
            "compares responses, and the task is scored by likelihood (multiple_choice)"
        )
    assert measured["option_jsd"].value is not None
    assert "answer_agreement" not in measured


def test_other_tokenizers_are_no_obstacle(
    world: World, folder: Path, tmp_path: Path, changed_teacher: Any
) -> None:
    def without_merges(content: dict[str, Any]) -> None:
        content["model"]["merges"] = []

    teacher = changed_teacher("letters", without_merges)
    evaluation = run(world, folder, tmp_path / "results", teacher=teacher)
    measured = metrics_of(evaluation)
    assert measured["option_fkl"].value is not None
    assert measured["option_fkl"].bound is None
    (teacher_run,) = (tmp_path / "results" / "letters").iterdir()
    student, letters = lines(evaluation.run, "choice"), lines(teacher_run, "choice")
    assert letters[1]["options"][1]["n_tokens"] > student[1]["options"][1]["n_tokens"]
    divergences = [
        rel_entr(softmax(t), softmax(s)).sum() for s, t in zip(student, letters, strict=True)
    ]
    assert measured["option_fkl"].value == pytest.approx(sum(divergences) / 7, abs=2e-6)
    assert "tokenizers" not in (evaluation.results["choice"].teacher or {})


def test_a_comparison_is_resumed_kept_and_replaced_with_the_teacher(
    world: World, folder: Path, tmp_path: Path
) -> None:
    first = run(world, folder, tmp_path, limit=4)
    before = (first.run / "choice.json").read_bytes()
    assert run(world, folder, tmp_path, limit=4).generated == 0
    # Without teacher= the comparison stays; without samples, the options are measured again.
    shutil.rmtree(first.run / "samples")
    assert run(world, folder, tmp_path, limit=4, teacher=None).generated == 0
    assert (first.run / "choice.json").read_bytes() == before
    other = run(world, folder, tmp_path, limit=4, teacher=str(world.student), name="student")
    assert metrics_of(other)["answer_agreement"].value == 1
    assert (other.results["choice"].teacher or {})["name"] == "student"
    again = run(world, folder, tmp_path, limit=4)
    assert (again.run / "choice.json").read_bytes() == before


def test_the_undistilled_student_is_the_floor(world: World, folder: Path, tmp_path: Path) -> None:
    evaluation = run(world, folder, tmp_path, limit=4, undistilled=str(world.student), name="copy")
    metric = metrics_of(evaluation)["option_fkl"]
    assert metric.floor == metric.value
    assert metric.ceiling == 0


def test_a_cache_holds_the_teachers_options(world: World, folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    made = run(world, folder, tmp_path / "a", "choice", "answers", teacher_cache=cache, limit=3)
    keys = {"teacher": f"cache:{cache}", "limit": 3}
    read = run(world, folder, tmp_path / "b", "choice", **keys)
    for name, metric in metrics_of(read).items():
        assert metric == metrics_of(made)[name], name
    with pytest.raises(InputError, match=r"no responses to 'targets' under .*'choice' under"):
        run(world, folder, tmp_path / "b", "targets", **keys)
    with pytest.raises(InputError, match=r"^teacher_cache= stores .* none of tasks= generates"):
        run(world, folder, tmp_path / "c", teacher_cache=tmp_path / "new", limit=3)
