"""The set `corpus` of plain texts: rows of Dolly, and texts from which nothing can be learned.

Each row says in its field `kind` whether it is a `text` (a prompt with its answer), `noise` (random
letters) or a `repeat` (one word again and again). For rules that select texts. The validation file
has texts alone.
"""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from string import ascii_lowercase

from kdbench.system.files import put_text
from kdbench.toy.corpus import alpaca_prompt
from kdbench.toy.extras import Extra
from kdbench.toy.models import World, WorldReport

NOISE, REPEATS = 0.3, 0.3  # shares of the rows
_FEWEST, _MOST = 10, 30  # words


def _make(world: World, folder: Path, report: WorldReport | None) -> None:  # noqa: ARG001
    rng = random.Random("kdbench-toy-corpus")
    for split in ("train", "valid"):
        file = world.data / "dolly" / f"{split}.jsonl"
        rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
        texts = [alpaca_prompt(row["instruction"], row["input"]) + row["output"][0] for row in rows]
        kinds = [("text", text) for text in texts]
        lines = _mixed(texts, rng) if split == "train" else iter(kinds)
        numbered = enumerate(lines)
        content = [
            {"id": f"corpus-{n:04d}", "text": text, "kind": kind} for n, (kind, text) in numbered
        ]
        put_text(folder / f"{split}.jsonl", "".join(json.dumps(row) + "\n" for row in content))


def _mixed(texts: list[str], rng: random.Random) -> Iterator[tuple[str, str]]:
    """Yield each text, or what stands in its place, with its kind."""
    words = sorted({word for text in texts for word in text.split() if word.isalpha()})
    for text in texts:
        draw, count = rng.random(), rng.randint(_FEWEST, _MOST)
        if draw < NOISE:
            yield "noise", " ".join(_letters(rng) for _ in range(count))
        elif draw < NOISE + REPEATS:
            yield "repeat", " ".join([rng.choice(words)] * count)
        else:
            yield "text", text


def _letters(rng: random.Random) -> str:
    return "".join(rng.choice(ascii_lowercase) for _ in range(rng.randint(2, 8)))


EXTRAS = [Extra("data/corpus", _make)]
