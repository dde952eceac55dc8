"""The training set `domains`, whose rows have a domain, and a student that lacks one of the four.

The domains are facts, lists, stories and sums. The student `student-without-sums` is trained like
that of the toy world, on the other three. For methods that mix domains.
"""

import json
from functools import partial
from pathlib import Path
from typing import Any

from kdbench.system.files import put_text
from kdbench.toy.extras import Extra
from kdbench.toy.finetuning import finetune
from kdbench.toy.models import TRAININGS, World, WorldReport, random_model
from kdbench.toy.tokenizer import build_tokenizer

_LISTS = ("repeat", "reverse", "sort", "first", "last", "count", "keep")
# All other categories are facts about people.
DOMAINS = {"sum": "sums", "story": "stories", **dict.fromkeys(_LISTS, "lists")}


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def _make_set(world: World, folder: Path, report: WorldReport | None) -> None:  # noqa: ARG001
    for split in ("train", "valid"):
        rows = _rows(world.data / "dolly" / f"{split}.jsonl")
        named = [{**row, "domain": DOMAINS.get(row["category"], "facts")} for row in rows]
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in named]
        put_text(folder / f"{split}.jsonl", "".join(lines))


def _make_student(world: World, folder: Path, report: WorldReport | None) -> None:
    settings = json.loads((world.data.parent / "world.json").read_text("utf-8"))
    training, seed = TRAININGS["student"], settings["seed"]
    tokenizer = build_tokenizer(world.data)
    model = random_model(tokenizer, training.size, seed)
    rows = _rows(world.data / "domains" / "train.jsonl")
    finetune(
        model,
        tokenizer,
        rows=[row for row in rows if row["domain"] != "sums"],
        steps=settings["steps"]["student"],
        learning_rate=training.learning_rate,
        seed=seed,
        report=partial(report, "student without sums") if report else None,
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


EXTRAS = [
    Extra("data/domains", _make_set),
    Extra("student-without-sums", _make_student, after=("data/domains",)),
]
