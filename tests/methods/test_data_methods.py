"""KD-AIF, KD3 and HARD in a run: what they log, and that a resumed run is the same."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import kdbench
from kdbench.errors import InputError
from kdbench.toy.extras import noisy, pool
from kdbench.toy.models import World
from kdbench.training.trainer import DistillationTrainer

LOGGED = {
    "aif": ("influence/auc",),
    "kd3": ("confidence/in_world", "confidence/kl_kept", "confidence/kl_left_out"),
    "hard": ("hardest/divergence", "hardest/of_all"),
}


@pytest.fixture(scope="module")
def data(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for module, name in ((noisy, "noisy"), (pool, "pool")):
        (folder / name).mkdir()
        (extra,) = module.EXTRAS
        extra.make(world, folder / name, None)
    return folder


def words(world: World, data: Path, method: str) -> dict[str, Any]:
    return {
        "method": method,
        "student": str(world.student),
        "teacher": str(world.teacher),
        "data": data,
        "train_set": "noisy" if method == "aif" else "pool",
        "steps": 4,
        "batch_size": 4,
        "limit": 24,
        "max_new_tokens": 6,
        "validation_limit": 2,
        "save_every": 1,
        "log_every": 1,
        "select": "last",
        "device": "cpu",
        **({"edits": 2} if method == "hard" else {"refresh_steps": 3}),
    }


@pytest.mark.parametrize("method", list(LOGGED))
def test_a_run_logs_its_measure_and_resumes_within_a_block(
    world: World, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    settings = words(world, data, method)
    whole = kdbench.train(out=tmp_path / "whole", **settings).checkpoint
    lines = [json.loads(line) for line in (whole / "training.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "loss" in line]
    assert len(steps) == 4
    for name in LOGGED[method]:
        assert any(name in line for line in steps), name
    learn = DistillationTrainer.training_step

    def stop(self: DistillationTrainer, *arguments: Any) -> torch.Tensor:
        if self.state.global_step == 2:
            raise KeyboardInterrupt
        return learn(self, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(DistillationTrainer, "training_step", stop)
        with pytest.raises(KeyboardInterrupt):
            kdbench.train(out=tmp_path / "resumed", **settings)
    resumed = kdbench.train(out=tmp_path / "resumed", **settings).checkpoint
    for file in ("model.safetensors", "training.jsonl"):
        assert (whole / file).read_bytes() == (resumed / file).read_bytes()


def test_what_they_cannot_serve_is_refused_before_a_model_is_loaded(
    world: World, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kdbench.distillation.students.StudentSource.load", None)
    for method, more, message in (
        ("ddk", {}, r"train.jsonl:1: the method needs the field 'domain'"),
        ("kd3", {"teacher_cache": tmp_path / "cache"}, "needs the teacher in its source"),
        ("hard", {"teacher_cache": tmp_path / "cache"}, "needs the teacher's samples"),
        ("tgeo", {"teacher_cache": tmp_path / "cache"}, "needs the teacher's whole distribution"),
    ):
        settings = {**words(world, data, method), **more}
        for key in ("edits", "refresh_steps"):
            if method not in ("hard", "kd3"):
                settings.pop(key, None)
        with pytest.raises(InputError, match=message):
            kdbench.train(out=tmp_path / "out", **settings)
