"""The training set `shards`: each row belongs to one of four clients, or is public.

The clients have kinds of tasks of their own, so what one knows no other has seen; a fifth of the
rows of all kinds is public. In validation rows the field `shard` is the client of the row's kind.
"""

import json
import random
from pathlib import Path

from kdbench.system.files import put_text
from kdbench.toy.content import FACTS
from kdbench.toy.extras import Extra
from kdbench.toy.models import World, WorldReport

PUBLIC = 0.2
KINDS = {
    "facts": tuple(FACTS),
    "items": ("first", "last", "count", "keep"),
    "lists": ("repeat", "reverse", "sort"),
    "texts": ("describe", "story", "older", "sum"),
}


def _make(world: World, folder: Path, report: WorldReport | None) -> None:  # noqa: ARG001
    rng = random.Random("kdbench-toy-shards")
    owner = {kind: shard for shard, kinds in KINDS.items() for kind in kinds}
    for split in ("train", "valid"):
        text = (world.data / "dolly" / f"{split}.jsonl").read_text("utf-8")
        lines = []
        for row in map(json.loads, text.splitlines()):
            public = split == "train" and rng.random() < PUBLIC
            shard = "public" if public else owner[row["category"]]
            lines.append(json.dumps({**row, "shard": shard}, ensure_ascii=False) + "\n")
        put_text(folder / f"{split}.jsonl", "".join(lines))


EXTRAS = [Extra("data/shards", _make)]
