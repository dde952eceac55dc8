"""Estimates come from recorded times only."""

from dataclasses import replace
from pathlib import Path

import pytest

from kdbench.config import EvalSettings
from kdbench.distillation.recipe import make_recipe
from kdbench.filling.nodes import CheckpointNode, EvaluateNode, TrainNode
from kdbench.filling.times import (
    Timing,
    estimated_seconds,
    record_time,
    recorded_times,
)
from kdbench.text import duration
from kdbench.toy.models import World


def training(world: World, method: str, **keys: object) -> TrainNode:
    given = {"data": world.data, "student": "s", "teacher": "t", "steps": 10, "batch_size": 4}
    recipe = make_recipe({"method": method, **given, **keys})
    return TrainNode(method, (), "f", Path("m/x"), recipe)


def evaluation(world: World, **keys: object) -> EvaluateNode:
    settings = EvalSettings(model="x", data=world.data, tasks=("dolly", "vicuna"), **keys)
    return EvaluateNode("x", (), "f", Path("r/x.json"), settings)


TIMINGS = [
    Timing("train", "kd", 40, 8.0),
    Timing("train", "sft", 100, 10.0),
    Timing("train", "sft", 100, 30.0),
    Timing("evaluate", "evaluate", 10, 5.0),
]


def test_a_method_is_estimated_from_itself_or_else_from_all(world: World) -> None:
    assert estimated_seconds(training(world, "sft"), TIMINGS) == pytest.approx(40 * (0.1 + 0.3) / 2)
    assert estimated_seconds(training(world, "gkd"), TIMINGS) == pytest.approx(
        40 * (0.2 + 0.1 + 0.3) / 3
    )
    assert estimated_seconds(evaluation(world, limit=3, seeds=(1, 2)), TIMINGS) == pytest.approx(6)


def test_without_measurements_there_is_no_estimate(world: World) -> None:
    assert estimated_seconds(training(world, "sft"), []) is None
    assert estimated_seconds(evaluation(world), TIMINGS[:3]) is None
    assert estimated_seconds(CheckpointNode("x", (), "f", Path("m/x")), TIMINGS) is None


def test_amounts_count_rows_and_responses(world: World) -> None:
    def count(task: str, file: str) -> int:
        return len((world.data / task / file).read_text().splitlines())

    rows = count("dolly", "train.jsonl")
    assert training(world, "sft", steps=None, epochs=0.5).amount() == rows // 2
    assert training(world, "sft", steps=None, limit=7).amount() == 7
    assert training(world, "sft", steps=None, data=None).amount() is None
    documents = count("dolly", "test.jsonl") + count("vicuna", "test.jsonl")
    assert evaluation(world).amount() == 5 * documents
    assert evaluation(world, limit=2, protocol="greedy").amount() == 4
    assert replace(evaluation(world), settings=EvalSettings(model="x")).amount() is None


def test_the_log_of_an_interrupted_training_gives_its_duration(
    world: World, tmp_path: Path
) -> None:
    node = replace(training(world, "sft"), place=tmp_path / "x")
    log_line = "sft: 97/200 steps, 0.12/s, 872 s left"
    assert estimated_seconds(node, TIMINGS, log_line) == pytest.approx(8)  # of an earlier run
    (tmp_path / "x.unfinished").mkdir()
    assert estimated_seconds(node, [], log_line) == 872
    assert estimated_seconds(node, TIMINGS, "sft: loss 0.3") == pytest.approx(8)


def test_notes_outlive_a_crash_in_the_middle_of_a_line(world: World, tmp_path: Path) -> None:
    assert recorded_times(tmp_path) == []
    record_time(tmp_path, training(world, "sft"), 1.23456)
    record_time(tmp_path, evaluation(world, limit=1), 2.0)
    with (tmp_path / "times.jsonl").open("a") as file:
        file.write('\n{"kind": "tra')
    record_time(tmp_path, training(world, "kd"), 3.0)
    assert recorded_times(tmp_path) == [
        Timing("train", "sft", 40, 1.235),
        Timing("evaluate", "evaluate", 10, 2.0),
        Timing("train", "kd", 40, 3.0),
    ]


def test_durations_are_rounded() -> None:
    assert [duration(seconds) for seconds in (3.4, 99, 150, 7200)] == [
        "3 s",
        "99 s",
        "2 min",
        "2.0 h",
    ]


@pytest.mark.parametrize(
    "line",
    [
        b"garbage}",
        b'{"a": 1}',
        b"\xff\xfe}",
        bytes(40),
        b'{"kind": "train", "what": "sft", "amount": 4, "seconds": "x"}',
        b'{"kind": "train", "what": "sft", "amount": 0, "seconds": 1}',
        b"[" * 5000 + b"}",
    ],
)
def test_damaged_lines_are_left_out(line: bytes, tmp_path: Path) -> None:
    good = b'{"kind": "train", "what": "sft", "amount": 4, "seconds": 1.5}'
    (tmp_path / "times.jsonl").write_bytes(b"\n" + line + b"\n" + good)
    assert recorded_times(tmp_path) == [Timing("train", "sft", 4, 1.5)]
