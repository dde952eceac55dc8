"""The toy world's tasks with one right answer."""

import json
import re
from pathlib import Path

import pytest

from kdbench.task import load_tasks
from kdbench.toy.content import PEOPLE
from kdbench.toy.corpus import PREAMBLE, PREAMBLE_WITH_INPUT, RESPONSE_HEADER, write_corpus
from kdbench.toy.extras.answers import EXTRAS, ROWS, TASKS, AnswerTask, answer_rows
from kdbench.toy.models import World


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("answers")
    (extra,) = EXTRAS
    extra.make(World(made, made, made), made, None)
    return made


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_rows_differ_and_are_the_same_each_time(task: AnswerTask) -> None:
    rows = answer_rows(task)
    assert len({row["prompt"] for row in rows}) == len({row["id"] for row in rows}) == ROWS
    assert answer_rows(task) == rows


def test_no_training_row_asks_them(tmp_path: Path) -> None:
    write_corpus(tmp_path, train=3000, valid=100, test=1)
    asked = set()
    for split in ("train", "valid"):
        for line in (tmp_path / "dolly" / f"{split}.jsonl").read_text("utf-8").splitlines():
            row = json.loads(line)
            asked.add((row["instruction"], row["input"]))
    assert len(asked) > 500
    for task in TASKS:
        for row in answer_rows(task):
            body = row["prompt"].removesuffix(RESPONSE_HEADER)
            body = body.removeprefix(PREAMBLE).removeprefix(PREAMBLE_WITH_INPUT)
            instruction, _, given = body.partition("\n\n### Input:\n")
            assert (instruction, given) not in asked


def test_answers_are_right() -> None:
    rows = {task.name: answer_rows(task) for task in TASKS}
    for row in rows["sums"]:
        first, second = map(int, re.findall(r"\d", row["prompt"]))
        assert row["answer"] == str(first + second)
    ages = {person.name: person.age for person in PEOPLE}
    for row in rows["older"]:
        names = [name for name in ages if re.search(rf"\b{name}\b", row["prompt"])]
        assert row["answer"] == max(names, key=lambda name: ages[name])
    for row in rows["choose_sum"]:
        right = row["choices"][row["answer"]]
        first, second, total = map(int, re.findall(r"\d+", right))
        assert first + second == total
        assert len(set(row["choices"])) == 4
    for row in rows["choose_fact"]:
        name = row["choices"][0].split()[0]
        (person,) = [person for person in PEOPLE if person.name == name]
        facts = {person.city, person.job, person.pet, person.colour}
        right = [any(f" {fact}." in choice for fact in facts) for choice in row["choices"]]
        assert right == [place == row["answer"] for place in range(4)]


def test_the_group_loads_and_the_answer_of_a_reference_sentence_is_found(folder: Path) -> None:
    tasks = {task.name: task for task in load_tasks([str(folder / "answers.yaml")])}
    assert list(tasks) == [f"toy_{task.name}" for task in TASKS]
    assert {len(task.documents) for task in tasks.values()} == {ROWS}
    patterns = {task.name: task.answer for task in TASKS}
    for name, text, answer in (
        ("facts", "Anna lives in Rome.", "Rome"),
        ("facts", "baker", "baker"),
        ("older", "Ben is older than Anna.", "Ben"),
        ("sums", "3 plus 6 is 9.", "9"),
        ("reverse", "3 2 1", "3 2 1"),
    ):
        found = re.search(patterns[name], text)
        assert found is not None
        assert found.group(1) == answer
