"""Which model each number belongs to, and the order of runs that share a teacher."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kdbench.config import EvalSettings
from kdbench.errors import InputError
from kdbench.evaluation import evaluate
from kdbench.fidelity.compare import compare_with_teacher
from kdbench.fidelity.teachers.find import find_teacher
from kdbench.generate import Sample
from kdbench.measuring.measurement import Evaluation, prepare
from kdbench.measuring.scoring import answers_of, with_final_answers
from kdbench.store.folder import RunFolder
from kdbench.task import load_tasks
from kdbench.toy.models import World

Compare = Callable[..., Evaluation]


def halved(model: Any) -> None:
    model.lm_head.weight.data /= 2


def stored(evaluation: Evaluation) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((evaluation.run / "dolly.json").read_text())
    return content


def test_a_floor_names_its_model_and_stays_until_replaced(
    compare: Compare, generated: Path, changed_teacher: Any
) -> None:
    milder = changed_teacher("milder", weights=halved)
    first = compare(generated, undistilled=milder, metrics=("top1@ref",))
    assert stored(first)["teacher"]["undistilled"]["name"] == "milder"
    floor = stored(first)["metrics"]["top1@ref"]["floor"]
    more = compare(generated, metrics=("jsd@ref",))
    assert stored(more)["metrics"]["top1@ref"]["floor"] == floor
    assert "floor" not in stored(more)["metrics"]["jsd@ref"]
    third = changed_teacher("third", weights=halved)
    other = compare(generated, undistilled=third, metrics=("jsd@ref",))
    assert stored(other)["teacher"]["undistilled"]["name"] == "third"
    assert stored(other)["metrics"]["jsd@ref"]["floor"] is not None
    assert "floor" not in stored(other)["metrics"]["top1@ref"]  # it belonged to a different model


@pytest.mark.parametrize("key", ["model", "teacher", "undistilled"])
def test_a_missing_model_is_reported_before_any_generation(
    compare: Compare, tmp_path: Path, key: str
) -> None:
    with pytest.raises(InputError, match=f"^{key}=.*nowhere: no such folder"):
        compare(tmp_path / "results", **{key: str(tmp_path / "nowhere")})
    assert not (tmp_path / "results").exists()


def test_the_last_shard_compares_even_if_the_teacher_finishes_later(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options: dict[str, Any] = {
        "model": str(world.student),
        "teacher": str(world.teacher),
        "data": world.data,
        "tasks": ("dolly",),
        "limit": 4,
        "max_new_tokens": 4,
        "seeds": (10, 20),
        "device": "cpu",
        "metrics": ("top1@ref",),
        "results": tmp_path,
    }
    late = EvalSettings(**options, shard="1/2")
    student = prepare(late)
    teacher = find_teacher(late, student.tasks)
    teacher.answer()  # half of the documents; those of the other shard are missing
    assert evaluate(EvalSettings(**options, shard="0/2")).results == {}
    results = compare_with_teacher(student.measure(), teacher)
    assert results["dolly"].metrics["top1@ref"].value is not None


def test_two_students_share_one_teacher_run(compare: Compare, tmp_path: Path, world: World) -> None:
    options = {"metrics": ("top1@ref",), "limit": 2, "max_new_tokens": 4}
    errors: list[Exception] = []

    def run(name: str) -> None:
        try:
            compare(tmp_path, name=name, **options)
        except InputError as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(list(tmp_path.glob("*/*/dolly.json"))) == 3


def test_the_log_ratio_estimates_kl_only_on_plain_samples(compare: Compare, tmp_path: Path) -> None:
    options = {"limit": 1, "max_new_tokens": 4, "metrics": ("k1", "k3", "rkl@student")}
    plain = compare(tmp_path / "plain", **options).results["dolly"].metrics
    greedy = compare(tmp_path, protocol="greedy", seeds=None, **options).results["dolly"].metrics
    for name in ("k1@student", "k1@teacher", "k3@student", "k3@teacher"):
        assert plain[name].value is not None
        assert greedy[name].value is None
        assert "temperature=1" in str(greedy[name].reason)
    assert greedy["rkl@student"].value is not None


YAML = """
task: sums
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{question}}}}"
doc_to_target: answer
generation_kwargs: {{until: ["Q:"], do_sample: false}}
{filters}
metric_list:
  - {{metric: {metric}, aggregation: mean, higher_is_better: true}}
metadata: {{version: 1.0{flag}}}
"""
FILTERS = """
filter_list:
  - name: number
    filter: [{function: regex, regex_pattern: "is (\\\\d+)"}, {function: take_first}]
"""


def sums(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **parts: str) -> Any:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    rows = [{"question": f"{i} + 1?", "answer": str(i + 1)} for i in range(3)]
    (tmp_path / "rows.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    chosen = {"filters": "", "metric": "exact_match", "flag": "", **parts}
    (tmp_path / "sums.yaml").write_text(YAML.format(data=tmp_path / "rows.json", **chosen))
    return load_tasks([str(tmp_path / "sums.yaml")])[0]


def finals(task: Any, *outputs: str) -> list[tuple[str | None, bool | None]]:
    samples = {(str(i), 1): Sample(str(i), 1, text) for i, text in enumerate(outputs)}
    answers = with_final_answers(task, samples, answers_of(task, [1], samples))
    return [(answer.final, answer.right) for answer in answers[1]]


def test_the_first_filter_extracts_the_final_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = sums(tmp_path, monkeypatch, filters=FILTERS)
    actual = finals(task, "0 + 1 is 1", "it is 7.", "who knows")
    assert actual == [("1", True), ("7", False), (None, False)]


def test_a_task_can_declare_whole_responses_to_be_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flagged = sums(tmp_path, monkeypatch, metric="bleu", flag=", closed_answers: true")
    assert finals(flagged, "1", "7", "") == [("1", True), ("7", False), (None, False)]


def test_a_free_form_task_has_no_final_answers(whole: Evaluation, world: World) -> None:
    (task,) = load_tasks(["dolly"], world.data, 1)
    samples = {(task.documents[0].id, 1): Sample(task.documents[0].id, 1, "yes")}
    ((answer,),) = with_final_answers(task, samples, answers_of(task, [1], samples)).values()
    assert (answer.final, answer.right) == (None, None)
    metrics = whole.results["dolly"].metrics
    for name in ("answer_agreement", "agreement_high", "error_kappa", "answers_rw"):
        assert metrics[name].value is None
        assert "closed answers" in str(metrics[name].reason)


def test_the_teachers_second_seed_is_not_a_table_row(compare: Compare, tmp_path: Path) -> None:
    compare(tmp_path, seeds=(10,), limit=1, max_new_tokens=4, metrics=("top1@ref",))
    runs = [RunFolder(file.parent).read_run() for file in tmp_path.glob("teacher/*/run.json")]
    assert sorted(run["protocol"]["seeds"] for run in runs) == [[10], [11]]
    assert [run.get("auxiliary") for run in runs if run["protocol"]["seeds"] == [11]] == [True]
