"""A teacher that was trained for too long, and so is surer than it should be."""

import json
from pathlib import Path

from kdbench.toy.extras import Extra
from kdbench.toy.finetuning import finetune
from kdbench.toy.models import World, WorldReport

_STEPS, _RATE = 600, 2e-3


def _make(world: World, folder: Path, report: WorldReport | None) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(world.teacher)
    tokenizer = AutoTokenizer.from_pretrained(world.teacher)
    text = (world.data / "dolly" / "train.jsonl").read_text("utf-8")
    rows = [json.loads(line) for line in text.splitlines()]

    def tell(step: int, loss: float) -> None:
        if report is not None:
            report("overtrained-teacher", step, loss)

    finetune(model, tokenizer, rows, _STEPS, learning_rate=_RATE, seed=1, report=tell)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


EXTRAS = [Extra("overtrained-teacher", _make)]
