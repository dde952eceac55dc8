"""Estimates from what was measured, and none from what was not."""

from dataclasses import replace
from pathlib import Path

import pytest

from kdbench.config import EvalSettings
from kdbench.distillation.recipe import make_recipe
from kdbench.filling.graph import Node
from kdbench.filling.times import Took, amount_of, in_words, note, noted, seconds_of
from kdbench.toy.models import World


def training(world: World, method: str, **keys: object) -> Node:
    given = {"data": world.data, "student": "s", "teacher": "t", "steps": 10, "batch_size": 4}
    recipe = make_recipe({"method": method, **given, **keys})
    return Node("train", method, (), "f", Path("m/x"), recipe)


def evaluation(world: World, **keys: object) -> Node:
    settings = EvalSettings(model="x", data=world.data, tasks=("dolly", "vicuna"), **keys)
    return Node("evaluate", "x", (), "f", Path("r/x.json"), settings)


TOOK = [
    Took("train", "kd", 40, 8.0),
    Took("train", "sft", 100, 10.0),
    Took("train", "sft", 100, 30.0),
    Took("evaluate", "evaluate", 10, 5.0),
]


def test_a_method_is_estimated_from_itself_else_from_all(world: World) -> None:
    assert seconds_of(training(world, "sft"), TOOK) == pytest.approx(40 * (0.1 + 0.3) / 2)
    assert seconds_of(training(world, "gkd"), TOOK) == pytest.approx(40 * (0.2 + 0.1 + 0.3) / 3)
    assert seconds_of(evaluation(world, limit=3, seeds=(1, 2)), TOOK) == pytest.approx(6)


def test_nothing_measured_is_no_estimate(world: World) -> None:
    assert seconds_of(training(world, "sft"), []) is None
    assert seconds_of(evaluation(world), TOOK[:3]) is None
    assert seconds_of(replace(training(world, "sft"), work=None), TOOK) is None


def test_amounts_are_rows_and_responses(world: World) -> None:
    def count(task: str, file: str) -> int:
        return len((world.data / task / file).read_text().splitlines())

    rows = count("dolly", "train.jsonl")
    assert amount_of(training(world, "sft", steps=None, epochs=0.5)) == rows // 2
    assert amount_of(training(world, "sft", steps=None, limit=7)) == 7
    assert amount_of(training(world, "sft", steps=None, data=None)) is None
    documents = count("dolly", "test.jsonl") + count("vicuna", "test.jsonl")
    assert amount_of(evaluation(world)) == 5 * documents
    assert amount_of(evaluation(world, limit=2, protocol="greedy")) == 4
    assert amount_of(replace(evaluation(world), work=EvalSettings(model="x"))) is None


def test_a_half_trained_node_says_how_long(world: World, tmp_path: Path) -> None:
    node = replace(training(world, "sft"), place=tmp_path / "x")
    said = "sft: 97/200 steps, 0.12/s, 872 s left"
    assert seconds_of(node, TOOK, said) == pytest.approx(8)  # of another run, long gone
    (tmp_path / "x.unfinished").mkdir()
    assert seconds_of(node, [], said) == 872
    assert seconds_of(node, TOOK, "sft: loss 0.3") == pytest.approx(8)


def test_notes_outlive_a_crash_in_the_middle_of_a_line(world: World, tmp_path: Path) -> None:
    assert noted(tmp_path) == []
    note(tmp_path, training(world, "sft"), 1.23456)
    note(tmp_path, evaluation(world, limit=1), 2.0)
    with (tmp_path / "times.jsonl").open("a") as file:
        file.write('\n{"kind": "tra')
    note(tmp_path, training(world, "kd"), 3.0)
    assert noted(tmp_path) == [
        Took("train", "sft", 40, 1.235),
        Took("evaluate", "evaluate", 10, 2.0),
        Took("train", "kd", 40, 3.0),
    ]


def test_words() -> None:
    assert [in_words(one) for one in (3.4, 99, 150, 7200)] == ["3 s", "99 s", "2 min", "2.0 h"]
