"""The toy world with teachers of several sizes."""

import json
import shutil

import pytest

from kdbench.filling.worlds import worlds
from kdbench.toy.models import TRAININGS, Size, world_of
from kdbench.toy.worlds import sizes


def test_missing_teachers_are_made_and_none_twice(world, tmp_path, monkeypatch) -> None:
    shutil.copytree(world.data, tmp_path / "data")
    for name in ("teacher", "student"):
        shutil.copytree(world.student, tmp_path / name)
    small = {name: (Size(layers, 16, 4, 16), 1e-3) for layers, name in ((1, "1x16"), (2, "2x16"))}
    monkeypatch.setattr(sizes, "SIZES", small)
    monkeypatch.setattr(sizes, "STEPS", 1)
    monkeypatch.setattr(sizes, "make_world", lambda folder, report: world_of(folder))
    made = worlds.get("toy-sizes")(tmp_path)
    assert made.missing() == ["teacher-1x16", "teacher-2x16"]
    made.make()
    assert made.missing() == []
    config = json.loads((tmp_path / "teacher-2x16" / "config.json").read_text())
    assert (config["num_hidden_layers"], config["hidden_size"]) == (2, 16)
    monkeypatch.setattr(sizes, "write_model", pytest.fail)
    made.make()


def test_the_sizes_are_those_of_their_names() -> None:
    for name, (size, rate) in sizes.SIZES.items():
        assert name == f"{size.layers}x{size.width}"
        assert size.width % size.heads == 0
        assert 0 < rate < 0.1
    teacher = TRAININGS["teacher"]
    assert sizes.SIZES["4x128"] == (teacher.size, teacher.learning_rate)
