"""The training set `pool`: half of its prompts have their words shuffled, and ask nothing.

Each row says in its field `in_world` (1 or 0) whether its prompt is as it was. Validation rows are
those of Dolly. For methods that select prompts.
"""

import json
import random
from pathlib import Path
from typing import Any

from kdbench.system.files import put_text
from kdbench.toy.extras import Extra
from kdbench.toy.models import World, WorldReport

SHUFFLED = 0.5  # share of the rows whose words are shuffled


def _make(world: World, folder: Path, report: WorldReport | None) -> None:  # noqa: ARG001
    for split in ("train", "valid"):
        text = (world.data / "dolly" / f"{split}.jsonl").read_text("utf-8")
        rows = [{**json.loads(line), "in_world": 1} for line in text.splitlines()]
        rows = _with_shuffled_words(rows) if split == "train" else rows
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
        put_text(folder / f"{split}.jsonl", "".join(lines))


def _with_shuffled_words(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rng = random.Random("kdbench-toy-pool")
    changed = []
    for row in rows:
        words = f"{row['instruction']} {row['input']}".split()
        rng.shuffle(words)
        shuffled = {**row, "instruction": " ".join(words), "input": "", "in_world": 0}
        changed.append(shuffled if rng.random() < SHUFFLED else row)
    return changed


EXTRAS = [Extra("data/pool", _make)]
