"""Several processes learn like one, with the student whole on each or spread over them."""

import importlib.util
import json
from pathlib import Path

import pytest
from safetensors.torch import load_file
from several_processes import train_together

import kdbench

FEW = {
    "steps": 2,
    "batch_size": 8,
    "micro_batch_size": 2,
    "limit": 24,
    "learning_rate": 1e-2,
    "max_new_tokens": 8,
    "validation_limit": 3,
    "validate_every": 2,
    "select": "last",
    "log_every": 1,
    "device": "cpu",
    "precision": "float32",
}
METHODS: dict[str, dict[str, object]] = {
    "gkd": {"method": "gkd"},
    "minillm": {"method": "minillm", "rollout_batches": 1, "passes": 2, "single_step": 0},
    "distillm": {"method": "distillm"},
    "classmate": {"method": "classmate"},
}
LORA = {"method": "gkd", "lora_rank": 4, "lora_dropout": 0.0, "gradient_checkpointing": True}
AVERAGE = {"method": "classmate", "classmate": "ema"}
TWENTY = {"method": "gkd", "steps": 20, "learning_rate": 1e-3, "validate_every": 20}


def job(world, out: Path, kind: str, **settings: object) -> dict[str, object]:
    models = {"student": str(world.student), "teacher": str(world.teacher), "data": world.data}
    return {**FEW, **models, "out": out, "kind": kind, **settings}


def alone(world, out: Path, **settings: object) -> Path:
    keys = job(world, out, "whole", **settings)
    del keys["kind"]
    return kdbench.train(**keys).checkpoint


def curve(folder: Path, name: str) -> list[float]:
    lines = [json.loads(line) for line in (folder / "training.jsonl").read_text().splitlines()]
    return [line[name] for line in lines if name in line]


def largest_difference(first: Path, other: Path) -> float:
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (first, other))
    assert ours.keys() == theirs.keys()
    return max(float((ours[name] - theirs[name]).abs().max()) for name in ours)


def learn_alike(first: Path, other: Path) -> None:
    """Adam turns rounding of tiny gradients into steps, so weights are compared more loosely."""
    for name in ("loss", "grad_norm"):
        assert curve(first, name)[0] == pytest.approx(curve(other, name)[0], rel=1e-4)
        assert curve(first, name) == pytest.approx(curve(other, name), rel=5e-3)
    assert largest_difference(first, other) < 2e-3
    ours, theirs = (json.loads((place / "kdbench.json").read_text()) for place in (first, other))
    assert ours["parameters"] == theirs["parameters"]
    for before, after in zip(ours["validations"], theirs["validations"], strict=True):
        assert before == pytest.approx(after, rel=1e-3)


def test_two_and_four_processes_learn_like_one(world, tmp_path) -> None:
    """Whole on each process and by FSDP2; adapters, a moving average, a resume; 20 steps of GKD."""
    sharded = {**METHODS, "lora": LORA, "average": AVERAGE, "twenty": TWENTY}
    two = [job(world, tmp_path / f"{name}-fsdp", "FSDP2", **sharded[name]) for name in sharded]
    two += [job(world, tmp_path / f"{name}-2", "whole", **METHODS[name]) for name in METHODS]
    two += resumed(world, tmp_path, "FSDP2")
    four = [job(world, tmp_path / f"{name}-4", "whole", **METHODS[name]) for name in METHODS]
    four += [job(world, tmp_path / "lora-4", "FSDP2", **LORA)]
    train_together({2: two, 4: four}, tmp_path)
    for name, settings in sharded.items():
        one = alone(world, tmp_path / name, **settings)
        for other in tmp_path.glob(f"{name}-*"):
            learn_alike(one, other)
    card = json.loads((tmp_path / "twenty-fsdp" / "kdbench.json").read_text())
    assert (card["processes"], card["sharding"]) == (2, "FSDP2")
    assert len(curve(tmp_path / "twenty-fsdp", "loss")) == 20
    for name in ("gkd", "lora"):
        assert largest_difference(tmp_path / f"{name}-fsdp", tmp_path / f"resumed {name}") == 0
    assert curve(tmp_path / "gkd-fsdp", "loss") == curve(tmp_path / "resumed gkd", "loss")


def resumed(world, folder: Path, kind: str) -> list[dict[str, object]]:
    jobs = []
    for name, settings in (("gkd", METHODS["gkd"]), ("lora", LORA)):
        saves = job(world, folder / f"resumed {name}", kind, **settings, save_every=1)
        jobs += [{**saves, "stop": 1}, saves]
    return jobs


@pytest.mark.skipif(not importlib.util.find_spec("deepspeed"), reason="needs deepspeed")
@pytest.mark.parametrize("kind", ["ZeRO-2", "ZeRO-3"])
def test_deepspeed_learns_like_one_process(world, tmp_path, kind) -> None:
    sharded = {"gkd": METHODS["gkd"], "lora": LORA, "average": AVERAGE}
    jobs = [job(world, tmp_path / f"{name}-2", kind, **sharded[name]) for name in sharded]
    jobs += resumed(world, tmp_path, kind)
    train_together({2: jobs}, tmp_path)
    for name, settings in sharded.items():
        learn_alike(alone(world, tmp_path / name, **settings), tmp_path / f"{name}-2")
    for name in ("gkd", "lora"):
        assert largest_difference(tmp_path / f"{name}-2", tmp_path / f"resumed {name}") == 0
