"""The training set `noisy`: in a part of the rows the answer belongs to another row of its kind.

Each row says in its field `wrong` (1 or 0) whether its answer was replaced. Validation rows are
those of Dolly, with `wrong` 0. For methods that weigh a row by how far it can be trusted.
"""

import json
import random
from pathlib import Path
from typing import Any

from kdbench.system.files import put_text
from kdbench.toy.extras import Extra
from kdbench.toy.models import World, WorldReport

WRONG = 0.25  # share of the rows whose answer is replaced


def _make(world: World, folder: Path, report: WorldReport | None) -> None:  # noqa: ARG001
    for split in ("train", "valid"):
        text = (world.data / "dolly" / f"{split}.jsonl").read_text("utf-8")
        rows = [json.loads(line) for line in text.splitlines()]
        rows = _with_wrong_answers(rows) if split == "train" else [{**r, "wrong": 0} for r in rows]
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
        put_text(folder / f"{split}.jsonl", "".join(lines))


def _with_wrong_answers(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rng = random.Random("kdbench-toy-noisy")
    answers: dict[str, list[list[str]]] = {}
    for row in rows:
        answers.setdefault(row["category"], []).append(row["output"])
    changed = []
    for row in rows:
        others = [answer for answer in answers[row["category"]] if answer != row["output"]]
        wrong = rng.random() < WRONG and bool(others)
        output = rng.choice(others) if wrong else row["output"]
        changed.append({**row, "output": output, "wrong": int(wrong)})
    return changed


EXTRAS = [Extra("data/noisy", _make)]
