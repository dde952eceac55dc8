"""Two specialised teachers: each has the teacher's size, and never saw half of the kinds of task.

For methods that choose between teachers. The kinds are the field `category` of the rows; in the
order of their names, the first specialist has every second one and the other has the others.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

from kdbench.toy.extras import Extra
from kdbench.toy.finetuning import finetune
from kdbench.toy.models import TRAININGS, World, WorldReport, random_model
from kdbench.toy.tokenizer import build_tokenizer

STEPS = 300


def _make(which: int, world: World, folder: Path, report: WorldReport | None) -> None:
    text = (world.data / "dolly" / "train.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    kinds = set(sorted({row["category"] for row in rows})[which::2])
    training, tokenizer = TRAININGS["teacher"], build_tokenizer(world.data)
    model = random_model(tokenizer, training.size, seed=1 + which)
    finetune(
        model,
        tokenizer,
        rows=[row for row in rows if row["category"] in kinds],
        steps=STEPS,
        learning_rate=training.learning_rate,
        seed=1 + which,
        report=partial(report, f"specialist-{1 + which}") if report else None,
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


EXTRAS = [
    Extra("specialist-1", partial(_make, 0)),
    Extra("specialist-2", partial(_make, 1)),
]
