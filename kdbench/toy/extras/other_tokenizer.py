"""The checkpoint `other-teacher`: a teacher whose tokenizer is not the student's.

It has the teacher's size and training, and a tokenizer of its own: a larger vocabulary whose merges
are learned from the answers alone, and an end token of another name.
"""

import json
from functools import partial
from pathlib import Path

from kdbench.toy.extras import Extra
from kdbench.toy.finetuning import finetune
from kdbench.toy.models import TRAININGS, World, WorldReport, random_model
from kdbench.toy.tokenizer import build_tokenizer

VOCABULARY_SIZE = 640
END = "<|end|>"
_STEPS = 650  # as the teacher of the toy world


def _make(world: World, folder: Path, report: WorldReport | None, steps: int = _STEPS) -> None:
    training = TRAININGS["teacher"]
    tokenizer = build_tokenizer(world.data, VOCABULARY_SIZE, END, answers_only=True)
    model = random_model(tokenizer, training.size, seed=0)
    text = (world.data / "dolly" / "train.jsonl").read_text("utf-8")
    finetune(
        model,
        tokenizer,
        rows=[json.loads(line) for line in text.splitlines()],
        steps=steps,
        learning_rate=training.learning_rate,
        report=partial(report, "other-teacher") if report else None,
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


EXTRAS = [Extra("other-teacher", _make)]
