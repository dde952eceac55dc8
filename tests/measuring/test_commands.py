"""The commands in `run.json`: those of the training and of each call, once."""

import json
from pathlib import Path

from kdbench.config import EvalSettings
from kdbench.distillation.recipe import make_recipe
from kdbench.distillation.train import train
from kdbench.evaluation import evaluate
from kdbench.toy.models import World


def record(results: Path) -> dict:
    (file,) = results.glob("GKD/*/run.json")
    return json.loads(file.read_text("utf-8"))


def test_a_run_records_its_commands_and_who_measured_each_task(
    world: World, tmp_path: Path
) -> None:
    recipe = make_recipe(
        {"method": "gkd", "student": str(world.student), "teacher": str(world.teacher)}
        | {
            "data": world.data,
            "steps": 1,
            "batch_size": 2,
            "out": tmp_path / "GKD",
            "device": "cpu",
        }
        | {"validation_limit": 2, "limit": 4, "sampling_temperature": 1.0}
    )
    train(recipe)
    results = tmp_path / "results"
    keys = {"model": str(tmp_path / "GKD"), "data": world.data, "limit": 2, "seeds": [1]}
    keys |= {"max_new_tokens": 4, "device": "cpu", "results": results, "metrics": ["rougeL"]}
    evaluate(EvalSettings(**keys, tasks=["dolly"]))
    first = record(results)
    assert first["commands"][0] == recipe.command
    assert first["commands"][1][:2] == ["kdbench", "eval"]
    assert "tasks=dolly" in first["commands"][1]
    assert first["tasks"]["dolly"]["kdbench_version"] == first["kdbench_version"]
    assert first["tasks"]["dolly"]["gpus"] == first["environment"]["gpus"]

    evaluate(EvalSettings(**keys, tasks=["dolly"]))
    assert record(results) == first  # the same command adds nothing

    evaluate(EvalSettings(**keys, tasks=["dolly", "vicuna"]))
    assert record(results)["commands"][2][2:] == [
        word.replace("tasks=dolly", "tasks=dolly,vicuna") for word in first["commands"][1][2:]
    ]


def test_a_run_of_before_commands_were_recorded_gets_none(world: World, tmp_path: Path) -> None:
    keys = {"model": str(world.student), "name": "GKD", "data": world.data, "limit": 2}
    keys |= {"max_new_tokens": 4, "device": "cpu", "seeds": [1], "metrics": ["rougeL"]}
    settings = EvalSettings(**keys, tasks=["dolly"], results=tmp_path)
    evaluate(settings)
    (file,) = tmp_path.glob("GKD/*/run.json")
    old = json.loads(file.read_text("utf-8"))
    del old["commands"]
    file.write_text(json.dumps(old), encoding="utf-8")
    evaluate(settings)
    assert "commands" not in record(tmp_path)
