"""Pre-training distillation on plain texts, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest

import kdbench
from kdbench.errors import InputError
from kdbench.toy.extras.texts import EXTRAS
from kdbench.toy.models import World


@pytest.fixture(scope="module")
def settings(world: World, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("data")
    (folder / "texts").mkdir()
    EXTRAS[0].make(world, folder / "texts", None)
    return {
        "method": "pretrain_kd",
        "student": str(world.student),
        "teacher": str(world.teacher),
        "data": folder,
        "train_set": "texts",
        "train_format": "text",
        "select": "loss",
        "lr_schedule": "wsd",
        "steps": 3,
        "batch_size": 6,
        "limit": 12,
        "validation_limit": 2,
        "log_every": 1,
        "device": "cpu",
    }


def losses(checkpoint: Path) -> list[float]:
    lines = map(json.loads, (checkpoint / "training.jsonl").read_text().splitlines())
    return [line["loss"] for line in lines if "loss" in line]


def test_packed_and_cached_texts_give_the_losses_of_each_alone(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    runs = {"alone": {"window_tokens": 0}, "packed": {}}
    runs["cached"] = {"teacher_cache": tmp_path / "cache", "teacher_top_k": 50}
    found = {
        name: losses(kdbench.train(out=tmp_path / name, **settings, **more).checkpoint)
        for name, more in runs.items()
    }
    assert len(found["alone"]) == 3
    assert found["packed"] == pytest.approx(found["alone"], rel=1e-4)
    assert found["cached"] == pytest.approx(found["alone"], rel=1e-4)
    of_texts = {"data", "train_set", "train_format", "limit", "validation_limit", "device"}
    given = {key: settings[key] for key in of_texts}
    kdbench.cache(tmp_path / "own", teacher=settings["teacher"], teacher_top_k=50, **given)
    own = {**settings, "teacher": f"cache:{tmp_path / 'own'}"}
    assert losses(kdbench.train(out=tmp_path / "from", **own).checkpoint) == found["cached"]


def test_a_cache_of_too_few_tokens_is_refused_before_anything_is_loaded(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kdbench.distillation.students.StudentSource.load", None)
    few = {"teacher_cache": tmp_path / "cache", "teacher_top_k": 8}
    with pytest.raises(InputError, match=r"needs the teacher's top 50 tokens .* has 8: make a"):
        kdbench.train(out=tmp_path / "out", **settings, **few)


def test_texts_without_select_loss_are_refused(settings: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="pass select=loss"):
        kdbench.train(out=tmp_path / "out", **{**settings, "select": "rougeL"})
    with pytest.raises(InputError, match="method=hard samples responses"):
        kdbench.train(out=tmp_path / "out", **{**settings, "method": "hard"})
