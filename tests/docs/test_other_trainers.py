"""The page on checkpoints of other tools: its script trains with TRL, and the row is complete."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import kdbench
from kdbench.measuring.given_card import GivenCard, Trainer, TrainingCost, read_given_card
from kdbench.toy.models import World

PAGE = (Path(__file__).parents[2] / "docs" / "other-trainers.md").read_text("utf-8")


def block(info: str) -> str:
    (text,) = re.findall(rf"^```{info}\n(.*?)^```$", PAGE, re.M | re.S)
    return str(text)


def test_the_card_of_the_page_is_read_and_every_key_is_described(tmp_path: Path) -> None:
    file = tmp_path / "card.yaml"
    file.write_text(block("yaml card"))
    card = read_given_card(file)
    assert (card.samples, card.seconds) == (16000, 1830)
    described = set(re.findall(r"`([\w.]+)`", "".join(re.findall(r"^\| (`.*?) \|", PAGE, re.M))))
    keys = set(GivenCard.model_fields) - {"cost", "trainer"}
    keys |= {f"cost.{key}" for key in TrainingCost.model_fields}
    keys |= {f"trainer.{key}" for key in Trainer.model_fields}
    assert described == keys


def test_a_student_of_trl_becomes_a_row(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("trl")
    (tmp_path / "path" / "to").mkdir(parents=True)
    for name, place in (("student", world.student), ("teacher", world.teacher)):
        shutil.copytree(place, tmp_path / "path" / "to" / name)
    (tmp_path / "path" / "to" / "data").symlink_to(world.data)
    environment = {**os.environ, "HF_DATASETS_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", block("python trl")],
        cwd=tmp_path,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    monkeypatch.chdir(tmp_path)
    shutil.copytree(world.student, "sft")
    sft = {"method": "SFT", "setting": "mine", "cost": {"seconds": 2.0, "samples": 100}}
    Path("sft", "kdbench.yaml").write_text(yaml.safe_dump(sft))
    for model in ("runs/trl-gkd", "sft"):
        kdbench.evaluate(
            model=model,
            data=Path("path/to/data"),
            tasks="dolly",
            protocol="chat",
            limit=2,
            seeds=(1,),
            max_new_tokens=4,
            device="cpu",
        )
    (file,) = Path("results/trl-gkd").glob("*/run.json")
    training = json.loads(file.read_text())["training"]
    assert training["method"] == "gkd"
    assert training["samples"] == 8
    assert 0 < training["student_tokens"] <= 8 * 8
    assert training["card"]["trainer"]["name"] == "trl"
    columns = ("rougeL", "seconds_per_sample", "relative_cost", "student_tokens", "teacher_tokens")
    table = kdbench.table(columns=columns, tasks="dolly", published="none")
    (group,) = table.groups
    rows: dict[str, Any] = {row.label: row for row in group.rows}
    values = [None if cell is None else cell.value for cell in rows["GKD (trl-gkd)"].cells]
    seconds = training["seconds"] / 8
    assert values[1:] == pytest.approx([seconds, seconds / 0.02, training["student_tokens"], 0])
    assert values[0] is not None
    assert rows[
        "SFT (sft)"
    ].note == "student_tokens: the checkpoint's card has no student_tokens; " + (
        "teacher_tokens: the checkpoint's card has no teacher_tokens"
    )
