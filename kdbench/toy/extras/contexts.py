"""What self-distillation needs: a toy student that reads a context, and rows that it half knows.

`context-student`: the student of the toy world never saw anything before the question, and answers
nonsense after it. This one went on for 400 steps on Dolly's training rows, most of which have their
own answer before the question, and some two other rows with theirs; in the forms that the methods
write by default. On the 200 validation rows, sampled at temperature 1, it gives 43 % right answers
without a context and 53 % with the answer as context; other rows as context do not help it (25 %).

`data/half`: the training rows of five of the 16 kinds, most of which it answers better with their
answer before it. Validation rows are those of Dolly, of all kinds.
"""

import json
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdbench.system.files import put_text
from kdbench.toy.corpus import alpaca_prompt
from kdbench.toy.extras import Extra
from kdbench.toy.finetuning import IGNORED, EncodedRow, encode_row, finetune_rows
from kdbench.toy.models import World, WorldReport

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PLACE = "context-student"
STEPS, RATE, SEED = 400, 5e-3, 0
SHOTS = 2
SHARES = {"plain": 0.25, "answer": 0.6, "shots": 0.15}
HALF_KNOWN = ("age", "keep", "last", "older", "sum")


def _rows(world: World, split: str) -> list[dict[str, Any]]:
    text = (world.data / "dolly" / f"{split}.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def _make_student(world: World, folder: Path, report: WorldReport | None) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(world.student)
    model = AutoModelForCausalLM.from_pretrained(world.student)
    encoded = _with_contexts(tokenizer, _rows(world, "train"))
    told = None if report is None else lambda step, loss: report(PLACE, step, loss)
    finetune_rows(model, tokenizer, encoded, STEPS, learning_rate=RATE, seed=SEED, report=told)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _with_contexts(
    tokenizer: "PreTrainedTokenizerFast", rows: list[dict[str, Any]]
) -> list[EncodedRow]:
    """Each row as it is, with its own answer, or with other rows before it."""
    rng, encoded = random.Random("kdbench-toy-contexts"), []
    for row in rows:
        (kind,) = rng.choices(list(SHARES), list(SHARES.values()))
        context = f"{row['output'][0]}\n\n" if kind == "answer" else ""
        if kind == "shots":
            context = "".join(_shot(other) for other in rng.sample(rows, SHOTS))
        before = tokenizer(context).input_ids if context else []
        plain = encode_row(tokenizer, row)
        encoded.append(EncodedRow(before + plain.ids, [IGNORED] * len(before) + plain.targets))
    return encoded


def _shot(row: dict[str, Any]) -> str:
    return f"{alpaca_prompt(row['instruction'], row['input'])}\n{row['output'][0]}\n\n"


def _make_half(world: World, folder: Path, report: WorldReport | None) -> None:  # noqa: ARG001
    half = [row for row in _rows(world, "train") if row["category"] in HALF_KNOWN]
    for split, rows in (("train", half), ("valid", _rows(world, "valid"))):
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
        put_text(folder / f"{split}.jsonl", "".join(lines))


EXTRAS = [Extra(PLACE, _make_student), Extra("data/half", _make_half)]
