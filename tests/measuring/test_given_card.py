"""The card of a checkpoint that another tool trained: what it means, and what it must not be."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

import kdbench
from kdbench.checkpoint import find_checkpoint
from kdbench.errors import InputError
from kdbench.measuring.advice import prompt_advice
from kdbench.measuring.given_card import read_given_card, with_given_card
from kdbench.measuring.identity import training_of
from kdbench.protocol import get_protocol
from kdbench.toy.models import World


def write(folder: Path, content: Any, name: str = "kdbench.yaml") -> Path:
    file = folder / name
    file.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return file


@pytest.mark.parametrize(
    ("card", "samples", "seconds"),
    [
        ({"cost": {"samples": 640, "seconds": 32}}, 640, 32.0),
        ({"steps": 20, "batch_size": 32}, 640, None),
        ({"steps": 20, "batch_size": 32, "cost": {"samples": 600}}, 600, None),
        ({"steps": 20}, None, None),
        ({"cost": {"gpu_hours": 2, "gpus": 8}}, None, 900.0),
        ({"cost": {"gpu_hours": 2}}, None, None),
        ({"cost": {"gpu_hours": 2, "gpus": 8, "seconds": 5}}, None, 5.0),
    ],
)
def test_numbers_follow_from_others(
    card: dict[str, Any], samples: Any, seconds: Any, tmp_path: Path
) -> None:
    read = read_given_card(write(tmp_path, {"method": "GKD", **card}))
    training = training_of(read.as_run_card())
    assert training is not None
    assert (training["samples"], training["seconds"]) == (samples, seconds)
    assert training["method"] == "gkd"
    assert training["student_tokens"] is None
    assert training["card"] == {"method": "GKD", **card}


def test_a_heading_without_keys_is_empty(tmp_path: Path) -> None:
    file = tmp_path / "kdbench.yaml"
    file.write_text("method: gkd\ncost:\ntrainer:\nchat_template_kwargs: {}\n")
    card = read_given_card(file)
    assert (card.seconds, card.trainer) == (None, None)


def test_the_label_and_the_format_are_those_of_a_run_card(tmp_path: Path) -> None:
    card = {"method": "gkd", "label": "GKD (TRL)", "setting": "s", "format": "chat"}
    read = read_given_card(write(tmp_path, {**card, "system": "Be brief."})).as_run_card()
    assert (read["method"], read["setting"]) == ("GKD (TRL)", "s")
    assert "protocol=chat asks as in its training" in str(
        prompt_advice(read, get_protocol("minillm"))
    )
    assert "system='Be brief.'" in str(prompt_advice(read, get_protocol("chat")))
    unknown = read_given_card(write(tmp_path, {"method": "gkd"})).as_run_card()
    assert prompt_advice(unknown, get_protocol("chat")) is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"label": "x"}, "method: field required"),
        ({"method": " "}, "method: must be a text on one line"),
        ({"method": "a\nb"}, "method: must be a text on one line"),
        ({"method": 3}, "method: must be text; quote it, as in '3'"),
        ({"metod": "x"}, r"kdbench\.yaml: metod: unknown key; did you mean 'method'\?"),
        ({"method": "x", "cost": {"second": 3}}, r"cost\.second: unknown key; did you mean 'secon"),
        ({"method": "x", "cost": 3}, "cost: must hold key: value lines"),
        (
            "method: x\nchat_template_kwargs: {date: 2026-01-02}\n",
            "chat_template_kwargs: must be text, a number",
        ),
        ({"method": "x", "cost": {"seconds": -1}}, r"cost\.seconds: input should be greater"),
        ({"method": "x", "cost": {"seconds": float("inf")}}, r"cost\.seconds: input should be"),
        ({"method": "x", "cost": {"samples": 1.5}}, r"cost\.samples: input should be a valid int"),
        ({"method": "x", "cost": {"samples": True}}, r"cost\.samples: must not be true"),
        ({"method": "x", "cost": {"samples": 10**30}}, r"cost\.samples: input should be less"),
        ({"method": "x", "steps": 0}, "steps: input should be greater"),
        ({"method": "x", "trainer": {"version": "1"}}, r"trainer\.name: field required"),
        ("method: x\ntrainer: {name: trl, version: 1.10}\n", r"trainer\.version: must be text; qu"),
        ({"method": "x", "format": "task"}, "format: input should be 'alpaca', 'chat' or 'text'"),
        ("- method", "must hold key: value lines"),
        ("method: [", "not YAML"),
        ("", "must hold key: value lines"),
    ],
)
def test_a_fault_is_one_line_with_file_and_key(content: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_given_card(write(tmp_path, content))
    assert "kdbench.yaml" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_trainer_may_be_a_bare_name(tmp_path: Path) -> None:
    card = read_given_card(write(tmp_path, {"method": "x", "trainer": "a script"}))
    assert card.trainer is not None
    assert (card.trainer.name, card.trainer.version) == ("a script", None)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"card=.*none\.yaml: No such file"):
        read_given_card(tmp_path / "none.yaml")


def test_a_run_card_of_kdbench_is_not_overridden(world: World, tmp_path: Path) -> None:
    model = shutil.copytree(world.student, tmp_path / "model")
    (model / "kdbench.json").write_text('{"method": "GKD"}')
    card = write(tmp_path, {"method": "x"}, "card.yaml")
    checkpoint = find_checkpoint(str(model))
    with pytest.raises(InputError, match=r"card\.yaml: .*kdbench\.json .*; leave out card="):
        with_given_card(checkpoint, card)
    write(model, {"method": "x"})
    with pytest.raises(InputError, match=r"kdbench\.yaml: .*; delete the one that is wrong"):
        with_given_card(checkpoint, None)


def test_the_hash_of_a_checkpoint_does_not_depend_on_its_card(world: World, tmp_path: Path) -> None:
    model = shutil.copytree(world.student, tmp_path / "model")
    before = find_checkpoint(str(model)).sha256
    write(model, {"method": "x"})
    assert find_checkpoint(str(model)).sha256 == before


def test_a_card_that_comes_later_changes_the_stored_run(world: World, tmp_path: Path) -> None:
    model = shutil.copytree(world.student, tmp_path / "model")
    keys: dict[str, Any] = {
        "model": str(model),
        "data": world.data,
        "tasks": "dolly",
        "limit": 1,
        "seeds": (1,),
        "max_new_tokens": 2,
        "device": "cpu",
        "results": tmp_path / "results",
    }

    def stored(**more: Any) -> dict[str, Any]:
        evaluation = kdbench.evaluate(**keys, **more)
        run: dict[str, Any] = json.loads((evaluation.run / "run.json").read_text())
        return {**run, "generated": evaluation.generated}

    first = stored()
    assert (first["method"], first["training"], first["generated"]) == (None, None, 1)
    card = write(tmp_path, {"method": "GKD", "cost": {"seconds": 4}}, "card.yaml")
    second = stored(card=card)
    assert (second["method"], second["training"]["seconds"]) == ("GKD", 4.0)
    assert second["generated"] == 0
    write(model, {"method": "KD", "setting": "mine"})
    third = stored()
    assert (third["method"], third["setting"], third["training"]["seconds"]) == ("KD", "mine", None)
    assert stored(method="Mine")["method"] == "Mine"
