"""Toy models and the toy world: determinism, the masked loss, and resumption after a kill."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from kdbench.errors import InputError
from kdbench.toy import models
from kdbench.toy.corpus import write_corpus
from kdbench.toy.finetuning import IGNORED, encode_row, finetune, pad_batch, response_loss
from kdbench.toy.models import STUDENT, TEACHER, Size, World, make_world, random_model
from kdbench.toy.tokenizer import build_tokenizer

MINIATURE = {"teacher_steps": 60, "student_steps": 30, "train": 600, "valid": 20, "test": 10}
TINY = {"teacher_steps": 2, "student_steps": 2, "train": 40, "valid": 2, "test": 2}
SMALLEST = Size(layers=1, width=16, heads=2, inner=16)

Losses = dict[str, list[float]]


@pytest.fixture(scope="module")
def miniature(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, Losses]:
    losses: Losses = {"teacher": [], "student": []}
    world = make_world(
        tmp_path_factory.mktemp("world"),
        report=lambda name, _, loss: losses[name].append(loss),
        **MINIATURE,
    )
    return world, losses


@pytest.fixture(scope="module")
def tokenizer(miniature: tuple[World, Losses]) -> Any:
    return build_tokenizer(miniature[0].data)


@pytest.fixture(scope="module")
def rows(miniature: tuple[World, Losses]) -> list[dict[str, Any]]:
    text = (miniature[0].data / "dolly/train.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def weights(model: Any) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(first: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return first.keys() == two.keys() and all(torch.equal(first[name], two[name]) for name in first)


@pytest.mark.parametrize(("size", "low", "high"), [(TEACHER, 0.8e6, 1e6), (STUDENT, 8e4, 1.3e5)])
def test_sizes(tokenizer: Any, size: Size, low: float, high: float) -> None:
    model = random_model(tokenizer, size, seed=0)
    assert low <= sum(parameter.numel() for parameter in model.parameters()) <= high
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert model.lm_head.weight is model.model.embed_tokens.weight


def test_random_model_depends_on_its_seed_alone(tokenizer: Any) -> None:
    state = torch.random.get_rng_state()
    first = weights(random_model(tokenizer, SMALLEST, seed=5))
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.rand(7)
    assert same(first, weights(random_model(tokenizer, SMALLEST, seed=5)))
    assert not same(first, weights(random_model(tokenizer, SMALLEST, seed=6)))


def test_encoded_row_ends_with_eos_and_ignores_the_prompt(tokenizer: Any) -> None:
    row = {"instruction": "Who is Anna?", "input": "", "output": ["A baker.", "unused"]}
    encoded = encode_row(tokenizer, row)
    response = [*tokenizer("A baker.").input_ids, tokenizer.eos_token_id]
    assert encoded.ids[-len(response) :] == response
    assert [target for target in encoded.targets if target != IGNORED] == response
    assert len(encoded.ids) == len(encoded.targets)


def test_loss_is_the_mean_over_response_tokens(tokenizer: Any, rows: list[dict[str, Any]]) -> None:
    model = random_model(tokenizer, STUDENT, seed=0)
    encoded = [encode_row(tokenizer, row) for row in rows[:5]]
    ids, targets = pad_batch(encoded, tokenizer.pad_token_id)
    total, count = 0.0, 0
    with torch.no_grad():
        loss = response_loss(model, ids, targets)
        for row in encoded:
            logs = model(input_ids=torch.tensor([row.ids])).logits[0].log_softmax(-1)
            for place, target in enumerate(row.targets):
                if target != IGNORED:
                    total, count = total - float(logs[place - 1, target]), count + 1
    assert float(loss) == pytest.approx(total / count, rel=1e-5)


def test_padding_changes_nothing(tokenizer: Any, rows: list[dict[str, Any]]) -> None:
    model = random_model(tokenizer, STUDENT, seed=0)
    encoded = [encode_row(tokenizer, row) for row in rows[:6]]
    ids, targets = pad_batch(encoded, tokenizer.pad_token_id)
    lengths = torch.tensor([[len(row.ids)] for row in encoded])
    beyond = torch.arange(ids.shape[1]) >= lengths
    assert beyond.any()
    assert (ids[beyond] == tokenizer.pad_token_id).all()
    with torch.no_grad():
        loss = response_loss(model, ids, targets)
        other = response_loss(model, torch.where(beyond, 9, ids), targets)
    assert float(other) == pytest.approx(float(loss), rel=1e-6)


def test_the_prompt_is_not_a_target(tokenizer: Any, rows: list[dict[str, Any]]) -> None:
    model = random_model(tokenizer, SMALLEST, seed=0)
    reached: list[torch.Tensor] = []
    model.lm_head.register_forward_pre_hook(lambda _, inputs: reached.append(inputs[0]))
    encoded = [encode_row(tokenizer, row) for row in rows[:6]]
    response_loss(model, *pad_batch(encoded, tokenizer.pad_token_id))
    responses = [len(tokenizer(row["output"][0]).input_ids) + 1 for row in rows[:6]]
    assert len(reached[0]) == sum(responses)


def test_finetune_is_deterministic(tokenizer: Any, rows: list[dict[str, Any]]) -> None:
    def run(seed: int) -> tuple[list[float], dict[str, torch.Tensor]]:
        model = random_model(tokenizer, SMALLEST, seed=0)
        losses = finetune(model, tokenizer, rows[:30], steps=4, batch_size=8, seed=seed)
        return losses, weights(model)

    losses, trained = run(seed=1)
    again, retrained = run(seed=1)
    assert losses == again
    assert same(trained, retrained)
    assert run(seed=2)[0] != losses


def test_finetune_reports_every_step(tokenizer: Any, rows: list[dict[str, Any]]) -> None:
    model = random_model(tokenizer, SMALLEST, seed=0)
    reported: list[tuple[int, float]] = []
    losses = finetune(
        model, tokenizer, rows[:5], steps=3, report=lambda step, loss: reported.append((step, loss))
    )
    assert reported == list(enumerate(losses, start=1))
    assert not model.training


@pytest.mark.parametrize("change", [{"rows": []}, {"steps": 0}, {"batch_size": 0}])
def test_nothing_to_train_is_refused(
    tokenizer: Any, rows: list[dict[str, Any]], change: dict[str, Any]
) -> None:
    model = random_model(tokenizer, SMALLEST, seed=0)
    with pytest.raises(ValueError, match="nothing to train"):
        finetune(model, tokenizer, **{"rows": rows, "steps": 1, "batch_size": 1, **change})


def test_losses_go_down(miniature: tuple[World, Losses]) -> None:
    teacher, student = miniature[1]["teacher"], miniature[1]["student"]
    assert (len(teacher), len(student)) == (60, 30)
    assert sum(teacher[-10:]) < 0.4 * sum(teacher[:10])
    assert sum(student[-5:]) < 0.8 * sum(student[:5])


def test_checkpoints_load_with_the_usual_loaders(miniature: tuple[World, Losses]) -> None:
    world, _ = miniature
    sizes = {}
    for folder in (world.teacher, world.student):
        model = AutoModelForCausalLM.from_pretrained(folder)
        loaded = AutoTokenizer.from_pretrained(folder)
        assert loaded.get_vocab() == build_tokenizer(world.data).get_vocab()
        assert model.config.vocab_size == len(loaded)
        assert model.generation_config.eos_token_id == loaded.eos_token_id
        assert model.dtype == torch.float32
        sizes[folder] = model.num_parameters()
    assert sizes[world.teacher] > 5 * sizes[world.student]


def test_saved_teacher_is_the_trained_one(
    miniature: tuple[World, Losses], tokenizer: Any, rows: list[dict[str, Any]]
) -> None:
    world, losses = miniature
    batch = pad_batch([encode_row(tokenizer, row) for row in rows[:64]], tokenizer.pad_token_id)
    with torch.no_grad():
        loss = response_loss(AutoModelForCausalLM.from_pretrained(world.teacher), *batch)
    assert float(loss) < 0.5 * losses["teacher"][0]


def test_the_world_has_the_requested_data(miniature: tuple[World, Losses], tmp_path: Path) -> None:
    write_corpus(tmp_path, train=600, valid=20, test=10)
    for path in tmp_path.rglob("*.jsonl"):
        copied = miniature[0].data / path.relative_to(tmp_path)
        assert copied.read_bytes() == path.read_bytes()


def snapshot(directory: Path) -> dict[str, tuple[int, bytes]]:
    files = (path for path in sorted(directory.rglob("*")) if path.is_file())
    return {
        path.relative_to(directory).as_posix(): (path.stat().st_mtime_ns, path.read_bytes())
        for path in files
    }


def parts(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir() if not path.name.startswith(".")}


def test_a_complete_world_is_not_changed(miniature: tuple[World, Losses]) -> None:
    world, _ = miniature
    before = snapshot(world.data.parent)
    assert make_world(world.data.parent, **MINIATURE) == world
    assert snapshot(world.data.parent) == before


def test_a_world_with_different_settings_is_not_reused(miniature: tuple[World, Losses]) -> None:
    directory = miniature[0].data.parent
    with pytest.raises(InputError, match="holds a toy world with different settings"):
        make_world(directory, seed=1, **MINIATURE)


class KilledError(Exception):
    """Simulates a killed process."""


def test_a_world_killed_in_training_resumes_after_the_last_complete_part(tmp_path: Path) -> None:
    def kill_in_student(name: str, step: int, loss: float) -> None:
        if (name, step) == ("student", 1):
            raise KilledError

    whole, broken = tmp_path / "whole", tmp_path / "broken"
    make_world(whole, **TINY)
    with pytest.raises(KilledError):
        make_world(broken, report=kill_in_student, **TINY)
    assert parts(broken) == {"world.json", "data", "teacher"}
    kept = snapshot(broken / "teacher")
    trained: set[str] = set()
    make_world(broken, report=lambda name, *_: trained.add(name), **TINY)
    assert trained == {"student"}
    assert snapshot(broken / "teacher") == kept
    assert {name: file for name, (_, file) in snapshot(broken).items()} == {
        name: file for name, (_, file) in snapshot(whole).items()
    }


@pytest.mark.parametrize("file_name", ["world.json", "data", "teacher", "student"])
def test_a_kill_while_writing_leaves_no_partial_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file_name: str
) -> None:
    def kill_before_replacing(source: Path, target: Path) -> None:
        if target.name == file_name:
            raise KilledError
        source.rename(target)

    with monkeypatch.context() as patch:
        patch.setattr(models.os, "replace", kill_before_replacing)
        with pytest.raises(KilledError):
            make_world(tmp_path, **TINY)
    assert file_name not in parts(tmp_path)
    make_world(tmp_path, **TINY)
    assert parts(tmp_path) == {"world.json", "data", "teacher", "student"}
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    AutoModelForCausalLM.from_pretrained(tmp_path / "student")


def test_importing_the_room_loads_no_heavy_library() -> None:
    code = "import sys, kdbench.toy.models; print({'torch', 'transformers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
