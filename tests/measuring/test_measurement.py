"""A measurement's record does not depend on earlier access to it."""

import json
from pathlib import Path
from typing import Any

import pytest

from kdbench.config import EvalSettings, build
from kdbench.measuring.measurement import Measurement, prepare
from kdbench.toy.models import World


def measurement(world: World, results: Path, **changes: Any) -> Measurement:
    settings = {"model": str(world.student), "data": world.data, "tasks": ("dolly",), "limit": 2}
    settings |= {"seeds": (1,), "max_new_tokens": 4, "device": "cpu", "results": results, **changes}
    return prepare(build(EvalSettings, settings))


@pytest.mark.parametrize("first", ["nothing", "record", "backend"])
def test_the_record_does_not_depend_on_the_order_of_access(
    world: World, tmp_path: Path, first: str
) -> None:
    student = measurement(world, tmp_path)
    if first == "record":
        assert student.record.task("dolly") == {}
        student.record.note(status="failed")
    elif first == "backend":
        assert student.backend.tokenizer is not None
    assert not tmp_path.joinpath("student").exists()
    student.measure()
    assert student.generated == 2
    record = json.loads((student.run.path / "run.json").read_text("utf-8"))
    parameters = sum(weight.numel() for weight in student.backend.model.parameters())
    assert record["model"]["parameters"] == parameters
    assert record["model"]["dtype"] == "float32"
    assert (record["backend"]["name"], record["status"]) == ("hf", "complete")


def test_a_released_backend_loads_again(world: World, tmp_path: Path) -> None:
    student = measurement(world, tmp_path).measure()
    backend = student.backend
    student.release()
    assert student.backend is not backend


def test_a_second_task_is_added_to_the_record(world: World, tmp_path: Path) -> None:
    measurement(world, tmp_path).measure()
    more = measurement(world, tmp_path, tasks=("dolly", "vicuna")).measure()
    record = json.loads((more.run.path / "run.json").read_text("utf-8"))
    assert list(record["tasks"]) == ["dolly", "vicuna"]
    assert record["status"] == "complete"
