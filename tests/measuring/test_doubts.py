"""What makes numbers meaningless is said in a line with the way out; sound results are silent."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kdbench.generate import Sample
from kdbench.measuring.doubts import doubts
from kdbench.measuring.measurement import Evaluation
from kdbench.store.folder import RunFolder
from kdbench.store.results import MetricResult, TaskResult
from kdbench.store.samples import sample_record

PROTOCOL = {"name": "minillm", "max_new_tokens": 8}
RUN = {"method": None, "setting": None, "limit": None, "status": "complete", "tasks": {}}


def metric(value: float | None, low: float = 0.0, high: float = 1.0, n: int = 30) -> MetricResult:
    ends = (None, None) if value is None else (low, high)
    return MetricResult(value, *ends, None, {}, n, "points", "higher", "1")


def result(task: str = "dolly", **metrics: MetricResult) -> TaskResult:
    shown = {"rougeL": metric(20.0, 18.0, 22.0), **metrics}
    fingerprint = {"task": task, "protocol": PROTOCOL}
    return TaskResult(fingerprint, shown, {"id": []}, {"used": 30}, 0, "rougeL")


def found(folder: Path, *results: TaskResult, **texts: list[str]) -> list[str]:
    for task, answers in texts.items():
        samples = [
            Sample(str(number), 10, text, 3, "length" if "cut" in text else "stop")
            for number, text in enumerate(answers)
        ]
        RunFolder(folder).lines(task).replace(map(sample_record, samples))
    return doubts(Evaluation(folder, {one.task: one for one in results}, 0))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return tmp_path / "student" / "minillm-1"


def test_sound_results_are_silent(run: Path) -> None:
    cut, empty = metric(0.94), metric(0.5)
    texts = [f"text {number}" for number in range(6)]
    assert found(run, result(cut_off=cut, empty=empty), dolly=texts) == []
    assert found(run, result(rougeL=metric(20.0, n=20))) == []


@pytest.mark.parametrize(
    ("shown", "start"),
    [
        ({"cut_off": metric(1.0)}, "dolly: no response ended by itself, all were cut at max_new_"),
        ({"cut_off": metric(0.95)}, "dolly: 95 % or more of the responses were cut at max_new_tok"),
        ({"empty": metric(1.0)}, "dolly: every response is empty; "),
        ({"empty": metric(0.96)}, "dolly: 96 % of the responses are empty; "),
        ({"rougeL": metric(9.0, n=19)}, "dolly: only 19 prompts ("),
        ({"rougeL": metric(9.0, n=1)}, "dolly: only 1 prompt ("),
    ],
)
def test_each_fault_is_one_line(run: Path, shown: dict[str, Any], start: str) -> None:
    (line,) = found(run, result(**shown))
    assert line.startswith(start)


def test_tasks_with_the_same_fault_share_a_line(run: Path) -> None:
    few = {"rougeL": metric(9.0, n=4)}
    (line,) = found(run, result("dolly", **few), result("vicuna", **few))
    assert line.startswith("dolly, vicuna: only 4 prompts")


def test_stored_samples_show_what_no_metric_counts(run: Path) -> None:
    (line,) = found(run, result(), dolly=["cut a", "cut b", "cut c"])
    assert "no response ended by itself, all were cut at max_new_tokens=8" in line
    (line,) = found(run, result(), dolly=["", ""])
    assert "every response is empty" in line
    (line,) = found(run, result(), dolly=["the same"] * 5)
    assert "all responses are the same text" in line
    assert found(run, result(), dolly=["the same"] * 4) == []  # too few to say so


def test_words_that_rouge_does_not_see(run: Path) -> None:
    none = result(rougeL=metric(0.0, 0.0, 0.0))
    texts = ["你好，世界", "今天天气", "机器学习", "北京 上海", "苹果"]
    (line,) = found(run, none, dolly=texts)
    assert "rouge_tokenizer=characters" in line
    assert found(run, result(), dolly=texts) == []  # it scores, so it sees something
    assert found(run, none, dolly=["hello", "world", "a b", "c", "d"]) == []


@pytest.mark.parametrize("place", ["teacher", "older/teacher"])
@pytest.mark.parametrize(("teacher_value", "expected"), [(17.9, 1), (18.1, 0)])
def test_a_teacher_below_its_student(
    run: Path, teacher_value: float, expected: int, place: str
) -> None:
    teacher = RunFolder(run.parent.parent / place / "minillm-2")
    teacher.write_run({**RUN, "model": {"name": "teacher", "sha256": "t"}, "protocol": PROTOCOL})
    teacher.write_task(replace(result(), metrics={"rougeL": metric(teacher_value)}))
    compared = replace(result(), teacher={"name": "teacher", "sha256": "t"})
    lines = found(run, compared)
    assert len(lines) == expected
    assert all("better than its teacher teacher" in line for line in lines)


def test_a_damaged_file_of_samples_is_no_reason_to_fail(run: Path) -> None:
    path = RunFolder(run).lines("dolly").path
    path.parent.mkdir(parents=True)
    path.write_bytes(b'{"id": "a", "output": "x"\n\xff\n')
    assert found(run, result()) == []
