"""A training whose teacher has a tokenizer of its own, or is refused for it."""

import json
from pathlib import Path
from typing import Any

import pytest

import kdbench
from kdbench.toy.models import STUDENT, World, random_model
from kdbench.toy.tokenizer import build_tokenizer

FEW: dict[str, Any] = {
    "steps": 2,
    "batch_size": 4,
    "limit": 8,
    "max_new_tokens": 6,
    "validation_limit": 2,
    "log_every": 1,
    "device": "cpu",
}


@pytest.fixture(scope="module")
def teacher(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("other") / "teacher"
    tokenizer = build_tokenizer(world.data, 330, "<|end|>", answers_only=True)
    random_model(tokenizer, STUDENT, seed=5).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def train(world: World, teacher: Path, out: Path, **changes: Any) -> Any:
    models = {"student": str(world.student), "teacher": str(teacher), "data": world.data}
    return kdbench.train(**{**FEW, **models, "out": out, **changes})


@pytest.mark.parametrize(
    "keys",
    [
        {"method": "gold", "student_fraction": 1},
        {"method": "uld", "matching": "text", "train_format": "chat"},
        {"method": "dskd", "attention": True},
    ],
    ids=lambda keys: keys["method"],
)
def test_a_method_that_bridges_learns_from_it(
    world: World, teacher: Path, tmp_path: Path, keys: dict[str, Any]
) -> None:
    trained = train(world, teacher, tmp_path / "out", **keys)
    text = (trained.checkpoint / "training.jsonl").read_text("utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    steps = [line for line in lines if "loss" in line]
    assert len(steps) == 2
    if keys["method"] != "dskd":
        # Samples of a student that can hardly write may break characters.
        assert all(0 <= line["alignment/left_out"] < 0.5 for line in steps)
        assert all(0.3 < line["alignment/one_to_one"] < 1 for line in steps)


@pytest.mark.parametrize("method", ["kd", "dskd", "minillm"])
def test_any_other_method_refuses_it(
    world: World, teacher: Path, tmp_path: Path, method: str
) -> None:
    with pytest.raises(kdbench.InputError, match=f"method={method} compares them token") as error:
        train(world, teacher, tmp_path / "out", method=method)
    assert "gold, uld, and dskd with attention=true" in str(error.value)
    assert not (tmp_path / "out.unfinished" / "checkpoint-1").exists()


def test_a_chat_needs_the_teachers_own_template(
    world: World, teacher: Path, tmp_path: Path
) -> None:
    template = teacher / "chat_template.jinja"
    text = template.read_text("utf-8")
    template.unlink()
    try:
        with pytest.raises(kdbench.InputError, match="its tokenizer has no chat template"):
            train(world, teacher, tmp_path / "out", method="gold", train_format="chat")
    finally:
        template.write_text(text, "utf-8")
