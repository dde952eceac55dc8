"""The skills tasks: their rows are made, and lm-eval and kdbench ask the same."""

import runpy
from pathlib import Path
from typing import Any

import pytest
from lm_eval.tasks import TaskManager

from kdbench.system.files import LinesFile
from kdbench.task import Task, known_tasks, load_tasks

FOLDER = Path(__file__).parents[2] / "tasks" / "skills"
MAKE = runpy.run_path(str(FOLDER / "make.py"))


@pytest.fixture(scope="module")
def tasks() -> list[Task]:
    return load_tasks(["skills"])


@pytest.mark.parametrize("name", MAKE["MAKERS"])
def test_the_rows_are_those_that_the_script_makes(name: str) -> None:
    rows = LinesFile(FOLDER / f"{name}.jsonl").read()
    assert rows == MAKE["rows"](name)
    assert 30 < len(rows) <= 120
    for row in rows:
        options = row.get("choices", [])
        assert len(set(options)) == len(options)


def test_the_right_options_are_right() -> None:
    def right(name: str) -> list[tuple[str, str]]:
        rows = LinesFile(FOLDER / f"{name}.jsonl").read()
        return [(row["question"], row["choices"][row["answer"]]) for row in rows]

    for question, answer in right("arithmetic"):
        a, sign, b, _ = question.split()
        assert int(answer) == int(a) + (int(b) if sign == "+" else -int(b))
    for question, answer in right("larger"):
        assert int(answer) == max(map(int, question.split(", ")))
    for row in LinesFile(FOLDER / "sums.jsonl").read():
        assert int(row["answer"]) == sum(map(int, row["question"].split(" + ")))
    assert dict(right("order"))["The month before January is"] == "December"
    assert dict(right("capitals"))["The capital of Norway is"] == "Oslo"


def test_the_group_has_all_tasks_and_each_can_be_named(tasks: list[Task]) -> None:
    names = [task.name for task in tasks]
    assert sorted(["skills", *names]) == sorted(n for n in known_tasks() if n.startswith("skills"))
    (group,) = {group for task in tasks for group in task.groups}
    assert (group.name, group.tasks) == ("skills", tuple(names))
    (alone,) = load_tasks(["skills_order"])
    by_group = next(task for task in tasks if task.name == "skills_order")
    assert (alone.documents, alone.data) == (by_group.documents, by_group.data)
    assert alone.definition_sha256 == by_group.definition_sha256
    (by_path,) = load_tasks([str(FOLDER / "skills_order.yaml")])
    assert by_path == alone


def test_a_folder_with_its_group_has_each_task_once(tasks: list[Task]) -> None:
    loaded = load_tasks([str(FOLDER)])
    assert {task.name: task.groups for task in loaded} == {t.name: t.groups for t in tasks}


def test_lm_eval_asks_the_same(tasks: list[Task]) -> None:
    manager = TaskManager(include_path=str(FOLDER), include_defaults=False)
    loaded: dict[str, Any] = manager.load(["skills"])["tasks"]
    for task in tasks:
        theirs = loaded[task.name]
        theirs.set_fewshot_seed(1234)
        theirs.build_all_requests(limit=3)
        asked = [tuple(instance.args) for instance in theirs.instances]
        if task.generates:
            assert [text for text, _ in asked] == [d.prompt for d in task.documents[:3]]
        else:
            assert asked == [request for d in task.documents[:3] for request in d.requests]
