"""Pairs, an aligned teacher and rows with rewards, for methods that learn what is better.

`data/pairs`: of every row, whose answer is often a sentence, the pair says what is better: `chosen`
is the short form ("Rome" for "Anna lives in Rome."), `rejected` the sentence; where the answer has
no short form, `rejected` is the answer to another row of its kind. `short.jsonl` in it are new
prompts with the short form as the reference: exact match on the task `short` is the share of
responses that are right and in the preferred form.

`aligned`: the teacher after `method=dpo` on these pairs, whose reference is the teacher; with
cross-entropy, as the teacher must learn to begin with the fact.

`data/rewarded`: rows of kinds of which the toy student answers a sixth to a third right, so that
the rewards of a group differ; of `sum` and `sort` it has 2 %, and most groups of 8 have no right
answer. In groups of 8, half an epoch has as many responses as other rows of the gallery have
prompts. `rewarded.jsonl` in it are new prompts of these kinds.
"""

import json
import random
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from kdbench.system.files import put_text
from kdbench.toy.content import DOLLY
from kdbench.toy.corpus import draw_example, split_of
from kdbench.toy.extras import Extra
from kdbench.toy.models import World, WorldReport

# The word of the sentence that is its short form, by the kind of row.
SHORT: Mapping[str, int] = {
    **dict.fromkeys(("city", "job", "pet", "colour", "sum"), -1),
    "age": 2,
    "older": 0,
    "count": 3,
}
REWARDED = ("first", "keep", "last")
_REWARDED_ROWS = 750
_ALIGNMENT = {"steps": 150, "batch_size": 32, "learning_rate": 5e-4, "ce_weight": 1.0, "seed": 0}
_PROMPTS = 100  # of a task

PairedRow = dict[str, Any]


def _read(world: World, split: str) -> list[PairedRow]:
    text = (world.data / "dolly" / f"{split}.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def _write(file: Path, rows: Sequence[PairedRow]) -> None:
    put_text(file, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _short(row: PairedRow) -> str | None:
    """The short form of a row's answer; None if it has none."""
    place = SHORT.get(row["category"])
    return None if place is None else row["output"][0].rstrip(".").split()[place]


def _prompts(kinds: Collection[str], place: int) -> list[PairedRow]:
    """New prompts of some kinds, as only test rows have them.

    Args:
        kinds: The kinds.
        place: The place of the answer among a row's references: 0 is the sentence, -1 the shortest.
    """
    rng, rows = random.Random("kdbench-toy-prompts"), dict[tuple[str, str], PairedRow]()
    while len(rows) < _PROMPTS:
        drawn = draw_example(rng, {kind: DOLLY[kind] for kind in kinds})
        asked = drawn.instruction, drawn.input
        if split_of(*asked) == "test" and asked not in rows:
            texts = {"instruction": drawn.instruction, "input": drawn.input}
            answer = {"reference": drawn.references[place], "category": drawn.kind}
            rows[asked] = {"id": f"toy-{len(rows):03d}", **texts, **answer}
    return list(rows.values())


def _make_pairs(world: World, folder: Path, report: WorldReport | None) -> None:  # noqa: ARG001
    for split in ("train", "valid"):
        _write(folder / f"{split}.jsonl", _with_pairs(_read(world, split)))
    _write(folder / "short.jsonl", _prompts(SHORT, -1))


def _with_pairs(rows: Sequence[PairedRow]) -> list[PairedRow]:
    rng = random.Random("kdbench-toy-pairs")
    answers: dict[str, list[str]] = {}
    for row in rows:
        answers.setdefault(row["category"], []).append(row["output"][0])
    paired = []
    for row in rows:
        (text, *_), short = row["output"], _short(row)
        others = [answer for answer in answers[row["category"]] if answer != text]
        wrong = rng.choice(others) if others else f"{text} {text}"
        pair = (text, wrong) if short is None else (short, text)
        chosen, rejected = pair
        paired.append({**row, "output": [chosen], "chosen": chosen, "rejected": rejected})
    return paired


def _make_aligned(world: World, folder: Path, report: WorldReport | None) -> None:  # noqa: ARG001
    from kdbench.distillation.recipe import make_recipe
    from kdbench.distillation.train import train

    out = folder / "run"
    given = {"method": "dpo", "student": str(world.teacher), "data": world.data, "out": out}
    sets = {"train_set": "pairs", "validate_every": 1000, "device": "cpu", "select": "last"}
    train(make_recipe({**given, **sets, **_ALIGNMENT, "validation_limit": 20}))
    for file in sorted(out.iterdir()):
        if file.name.startswith(("chat", "config", "generation", "model", "tokenizer")):
            shutil.move(file, folder / file.name)
    shutil.rmtree(out)


def _make_rewarded(world: World, folder: Path, report: WorldReport | None) -> None:  # noqa: ARG001
    for split in ("train", "valid"):
        rows = [row for row in _read(world, split) if row["category"] in REWARDED]
        _write(folder / f"{split}.jsonl", rows[:_REWARDED_ROWS])
    _write(folder / "rewarded.jsonl", _prompts(REWARDED, 0))


EXTRAS = [
    Extra("data/pairs", _make_pairs),
    Extra("aligned", _make_aligned, after=("data/pairs",)),
    Extra("data/rewarded", _make_rewarded),
]
