"""The training set `texts`: the rows of Dolly as plain texts, each its prompt with its answer."""

import json
from pathlib import Path

from kdbench.system.files import put_text
from kdbench.toy.corpus import alpaca_prompt
from kdbench.toy.extras import Extra
from kdbench.toy.models import World, WorldReport


def _make(world: World, folder: Path, report: WorldReport | None) -> None:  # noqa: ARG001
    for split in ("train", "valid"):
        text = (world.data / "dolly" / f"{split}.jsonl").read_text("utf-8")
        rows = [json.loads(line) for line in text.splitlines()]
        texts = [
            {"text": alpaca_prompt(row["instruction"], row["input"]) + row["output"][0]}
            for row in rows
        ]
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in texts]
        put_text(folder / f"{split}.jsonl", "".join(lines))


EXTRAS = [Extra("data/texts", _make)]
