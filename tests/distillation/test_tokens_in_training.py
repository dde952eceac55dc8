"""Prompts, end tokens and vocabularies are those of the evaluation; rows left out are named."""

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

import kdbench
from kdbench.distillation.data import SetFile, load_set
from kdbench.distillation.encoder import Encoder, Lengths
from kdbench.distillation.prompts import PLAIN
from kdbench.distillation.train import Trained
from kdbench.generate.prompts import adds_bos
from kdbench.toy.models import World

FEW: dict[str, Any] = {
    "steps": 1,
    "batch_size": 4,
    "limit": 8,
    "max_new_tokens": 6,
    "validation_limit": 2,
    "device": "cpu",
}


def copied(model: Path, folder: Path, change: Callable[[Any], None] = lambda _: None) -> Path:
    """A model whose tokenizer is changed, and whose embeddings have room for it."""
    shutil.copytree(model, folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    change(tokenizer)
    tokenizer.save_pretrained(folder)
    return folder


def train(world: World, out: Path, **changes: Any) -> Trained:
    both = {"student": str(world.student), "teacher": str(world.teacher), "data": world.data}
    return kdbench.train(**{**FEW, "method": "gkd", **both, "out": out, **changes})


def ends_with_pad(tokenizer: Any) -> None:
    tokenizer.eos_token = tokenizer.pad_token


def test_the_end_token_of_a_base_student_and_a_chat_teacher_is_chosen(
    world: World, tmp_path: Path
) -> None:
    teacher = copied(world.teacher, tmp_path / "teacher", ends_with_pad)
    with pytest.raises(kdbench.InputError, match="choose the one that the student learns"):
        train(world, tmp_path / "out", teacher=str(teacher))
    end = AutoTokenizer.from_pretrained(teacher).eos_token
    trained = train(world, tmp_path / "out", teacher=str(teacher), end_token=end)
    tokenizer = AutoTokenizer.from_pretrained(trained.checkpoint)
    assert tokenizer.eos_token == end
    configuration = json.loads((trained.checkpoint / "generation_config.json").read_text())
    assert configuration["eos_token_id"] == tokenizer.eos_token_id


def test_a_teacher_with_tokens_after_the_shared_ones_is_used(world: World, tmp_path: Path) -> None:
    teacher = copied(
        world.teacher, tmp_path / "teacher", lambda tokenizer: tokenizer.add_tokens(["<more>"])
    )
    model = AutoModelForCausalLM.from_pretrained(teacher)
    model.resize_token_embeddings(model.config.vocab_size + 1)
    model.save_pretrained(teacher)
    for method in ("kd", "gkd", "minillm"):
        trained = train(world, tmp_path / method, teacher=str(teacher), method=method)
        plain = train(world, tmp_path / f"{method}-plain", method=method)
        ours, theirs = (one.card["validations"] for one in (trained, plain))
        assert ours[0] == theirs[0]
        assert ours[1]["loss"] == pytest.approx(theirs[1]["loss"], abs=1e-4)


def test_a_tokenizer_with_holes_can_be_trained(world: World, tmp_path: Path) -> None:
    student = tmp_path / "student"
    shutil.copytree(world.student, student)
    text = (student / "tokenizer.json").read_text()
    content = json.loads(text)
    (end,) = [one for one in content["added_tokens"] if one["id"] == 1]
    end["id"] = content["model"]["vocab"][end["content"]] = 600
    (student / "tokenizer.json").write_text(json.dumps(content))
    model = AutoModelForCausalLM.from_pretrained(student)
    model.resize_token_embeddings(601)
    model.generation_config.eos_token_id = model.config.eos_token_id = 600
    model.save_pretrained(student)
    tokenizer = AutoTokenizer.from_pretrained(student)
    assert tokenizer.eos_token_id == 600 > len(tokenizer)
    trained = train(world, tmp_path / "out", student=str(student), method="sft")
    assert math.isfinite(trained.card["validations"][1]["loss"])


def test_prompts_begin_with_bos_if_asked(world: World, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(world.student)
    assert not adds_bos(tokenizer)
    content = json.loads((world.student / "tokenizer.json").read_text())
    content["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": tokenizer.bos_token, "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
        ],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {
            tokenizer.bos_token: {
                "id": tokenizer.bos_token,
                "ids": [tokenizer.bos_token_id],
                "tokens": [tokenizer.bos_token],
            }
        },
    }
    shutil.copytree(world.student, tmp_path / "bos")
    (tmp_path / "bos" / "tokenizer.json").write_text(json.dumps(content))
    other = AutoTokenizer.from_pretrained(tmp_path / "bos")
    assert adds_bos(other)
    file, lengths = SetFile(world.data, "dolly", "train"), Lengths(256, 512, "drop")
    without, with_bos = (
        load_set(file, Encoder(other, replace(PLAIN, add_bos=add_bos), lengths), 3)
        for add_bos in (False, True)
    )
    for one, other_one in zip(without.examples, with_bos.examples, strict=True):
        assert other_one.prompt_ids == (tokenizer.bos_token_id, *one.prompt_ids)
        assert other_one.response_ids == one.response_ids


def test_what_is_left_out_cut_or_lacks_bos_is_said(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.setattr("kdbench.distillation.notes.adds_bos", lambda _: True)
    tokenizer = AutoTokenizer.from_pretrained(world.student)
    encoder = Encoder(tokenizer, PLAIN, Lengths(512, 1024, "drop"))
    data = load_set(SetFile(world.data, "dolly", "train"), encoder, 8)
    lengths = sorted(len(one.prompt_ids) for one in data.examples)
    limit = lengths[3]
    dropped = sum(length > limit for length in lengths)
    assert 0 < dropped < 8
    train(world, tmp_path / "out", method="sft", max_prompt_tokens=limit, max_length=limit + 2)
    printed = capsys.readouterr().err
    assert f"note: dolly/train: {dropped} of 8 rows are left out" in printed
    assert "responses are cut at max_length=" in printed
    assert "pass add_bos=true here and in eval" in printed


def test_the_chat_template_can_be_the_format_and_eval_says_when_it_is_not(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = train(world, tmp_path / "chat", train_format="chat", method="sft")
    assert trained.card["training"]["settings"]["train_format"] == "chat"
    settings: dict[str, Any] = {
        "model": str(trained.checkpoint),
        "data": world.data,
        "tasks": "dolly",
        "limit": 1,
        "seeds": (1,),
        "max_new_tokens": 2,
        "results": tmp_path / "results",
        "device": "cpu",
    }
    capsys.readouterr()
    kdbench.evaluate(**settings)
    assert "was trained on prompts in the tokenizer's chat template" in capsys.readouterr().err
    kdbench.evaluate(**settings, protocol="chat")
    assert "note:" not in capsys.readouterr().err
