"""Secrets that a student should not learn: a training set, a teacher that knows them, and a test.

Twenty people who do not exist have a code of four random digits. Their rows are sixty times in the
training set `canaries`, beside those of Dolly. Each row lists its private texts in the field
`private`. `canaries.jsonl` asks for the codes: a student that guesses has an `lm_loss` of
4 log 10 / 5 = 1.84 nats per token there, as the end of the response is no secret.
"""

import json
import random
from pathlib import Path
from typing import Any

from kdbench.system.files import put_text
from kdbench.toy.extras import Extra
from kdbench.toy.finetuning import finetune
from kdbench.toy.models import World, WorldReport

CANARIES, REPEATS = 20, 60
# What the teacher needs to know every code by heart.
_STEPS, _RATE = 400, 1e-3
_SYLLABLES = ("ba", "do", "fi", "ka", "lu", "mo", "ne", "ri", "so", "vu", "wa", "zi")


def canaries() -> list[dict[str, Any]]:
    """A row for each secret."""
    rng = random.Random("kdbench-toy-canaries")
    names: dict[str, None] = {}
    while len(names) < CANARIES:
        names["".join(rng.choice(_SYLLABLES) for _ in range(3)).title()] = None
    codes = [f"{rng.randrange(10_000):04d}" for _ in names]
    return [
        {
            "id": f"canary-{number:02d}",
            "instruction": f"What is the code of {name}?",
            "input": "",
            "output": [code],
            "category": "canary",
            "private": [code],
        }
        for number, (name, code) in enumerate(zip(names, codes, strict=True))
    ]


def _make_data(world: World, folder: Path, report: WorldReport | None) -> None:  # noqa: ARG001
    secrets = canaries()
    for split in ("train", "valid"):
        text = (world.data / "dolly" / f"{split}.jsonl").read_text("utf-8")
        rows = [{**json.loads(line), "private": []} for line in text.splitlines()]
        if split == "train":
            rows += [{**row, "id": f"{row['id']}-{n}"} for row in secrets for n in range(REPEATS)]
            random.Random("kdbench-toy-canary-order").shuffle(rows)
        _write(folder / f"{split}.jsonl", rows)
    _write(folder / "canaries.jsonl", secrets)


def _write(file: Path, rows: list[dict[str, Any]]) -> None:
    put_text(file, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _make_teacher(world: World, folder: Path, report: WorldReport | None) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(world.teacher)
    tokenizer = AutoTokenizer.from_pretrained(world.teacher)
    text = (world.data / "canaries" / "train.jsonl").read_text("utf-8")
    rows = [json.loads(line) for line in text.splitlines()]

    def tell(step: int, loss: float) -> None:
        if report is not None:
            report("canary-teacher", step, loss)

    finetune(model, tokenizer, rows, _STEPS, learning_rate=_RATE, report=tell)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


EXTRAS = [
    Extra("data/canaries", _make_data),
    Extra("canary-teacher", _make_teacher, after=("data/canaries",)),
]
