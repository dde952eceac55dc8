"""The training set `texts`, the rows of Dolly as plain texts, and a teacher of such texts.

A text is a prompt with its answer. The toy world's teacher has only learned answers, and knows no
prompts; `text-teacher` is the same after some steps on whole texts.
"""

import json
from functools import partial
from pathlib import Path

from kdbench.system.files import put_text
from kdbench.toy.corpus import alpaca_prompt
from kdbench.toy.extras import Extra
from kdbench.toy.finetuning import EncodedRow, finetune_rows
from kdbench.toy.models import World, WorldReport

_STEPS, _LEARNING_RATE = 200, 1e-3


def _make_set(world: World, folder: Path, report: WorldReport | None) -> None:  # noqa: ARG001
    for split in ("train", "valid"):
        lines = [
            json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in _texts(world, split)
        ]
        put_text(folder / f"{split}.jsonl", "".join(lines))


def _texts(world: World, split: str) -> list[str]:
    text = (world.data / "dolly" / f"{split}.jsonl").read_text("utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    return [alpaca_prompt(row["instruction"], row["input"]) + row["output"][0] for row in rows]


def _make_teacher(world: World, folder: Path, report: WorldReport | None) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(world.teacher)
    model = AutoModelForCausalLM.from_pretrained(world.teacher).float()
    rows = [
        EncodedRow(ids, ids)
        for text in _texts(world, "train")
        for ids in [[*tokenizer(text).input_ids, tokenizer.eos_token_id]]
    ]
    own_report = partial(report, "text teacher") if report else None
    finetune_rows(model, tokenizer, rows, _STEPS, learning_rate=_LEARNING_RATE, report=own_report)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


EXTRAS = [Extra("data/texts", _make_set), Extra("text-teacher", _make_teacher)]
