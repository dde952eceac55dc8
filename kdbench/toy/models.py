"""Tiny Llama teachers and students, and the toy world on disk with which small runs start."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdbench.errors import InputError
from kdbench.system.console import report_progress
from kdbench.system.files import put_text
from kdbench.toy.corpus import write_corpus
from kdbench.toy.finetuning import finetune
from kdbench.toy.tokenizer import build_tokenizer
from kdbench.views.tokenizers import vocabulary_size

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

CONTEXT_LENGTH = 512

# Three times the usual value: with nearly uniform attention at the start, these narrow models take
# long to form their first copying heads.
INITIAL_SPREAD = 0.06


@dataclass(frozen=True)
class Size:
    """The size of a toy model.

    Attributes:
        layers: Number of layers.
        width: Hidden size.
        heads: Number of attention heads.
        inner: Size of the feed-forward layer.
    """

    layers: int
    width: int
    heads: int
    inner: int


TEACHER = Size(layers=4, width=128, heads=4, inner=352)
STUDENT = Size(layers=2, width=64, heads=4, inner=128)


@dataclass(frozen=True)
class ToyTraining:
    """How a model of the toy world is trained."""

    size: Size
    learning_rate: float


TRAININGS = {"teacher": ToyTraining(TEACHER, 2e-3), "student": ToyTraining(STUDENT, 5e-3)}
_STEPS_BETWEEN_LINES = 100
WorldReport = Callable[[str, int, float], None]


@dataclass(frozen=True)
class World:
    """The folders of a complete toy world."""

    data: Path
    teacher: Path
    student: Path


def report_steps(name: str, step: int, loss: float) -> None:
    """Print every hundredth step of a model's training; a `WorldReport`."""
    if step % _STEPS_BETWEEN_LINES == 0:
        report_progress(f"  {name}: step {step}, loss {loss:.3f}")


def random_model(tokenizer: PreTrainedTokenizerFast, size: Size, seed: int) -> LlamaForCausalLM:
    """Make a float32 Llama with tied embeddings; its weights depend only on `seed`."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=vocabulary_size(tokenizer),
        hidden_size=size.width,
        intermediate_size=size.inner,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.heads,
        max_position_embeddings=CONTEXT_LENGTH,
        tie_word_embeddings=True,
        initializer_range=INITIAL_SPREAD,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config).float()


def unfinished_folder(folder: Path) -> Path:
    """Return an empty folder beside `folder`, which is to replace it when it is complete."""
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    return unfinished


def _claim(directory: Path, settings: dict[str, Any]) -> None:
    """Record the settings of the world, so that one with different settings is not reused."""
    path = directory / "world.json"
    if not path.exists():
        put_text(path, json.dumps(settings) + "\n")
    elif (recorded := json.loads(path.read_text(encoding="utf-8"))) != settings:
        raise InputError(
            f"{directory}: holds a toy world with different settings ({recorded}, not {settings}); "
            "choose another folder, or delete this one"
        )


def write_model(
    folder: Path,
    data: Path,
    size: Size,
    learning_rate: float,
    steps: int,
    seed: int,
    report: WorldReport | None = None,
) -> None:
    """Train a model on Dolly's training rows, and put it into `folder` in one step.

    Args:
        folder: Where it is put; its name is that of the report's lines.
        data: Data of the world.
        size: Size of the model.
        learning_rate: Peak learning rate of AdamW.
        steps: Number of optimiser steps.
        seed: Seed of the weights and the order of rows.
        report: Called after each step with the folder's name, the step and its loss.
    """
    tokenizer = build_tokenizer(data)
    model = random_model(tokenizer, size, seed)
    text = (data / "dolly" / "train.jsonl").read_text(encoding="utf-8")
    finetune(
        model,
        tokenizer,
        rows=[json.loads(line) for line in text.splitlines()],
        steps=steps,
        learning_rate=learning_rate,
        seed=seed,
        report=partial(report, folder.name) if report else None,
    )
    unfinished = unfinished_folder(folder)
    model.save_pretrained(unfinished)
    tokenizer.save_pretrained(unfinished)
    os.replace(unfinished, folder)


def world_of(directory: Path) -> World:
    """The folders of the toy world in a folder, which may not exist yet."""
    return World(directory / "data", directory / "teacher", directory / "student")


def make_world(
    directory: Path,
    seed: int = 0,
    teacher_steps: int = 650,
    student_steps: int = 300,
    train: int = 6000,
    valid: int = 200,
    test: int = 100,
    report: WorldReport | None = None,
) -> World:
    """Write the toy corpus, a teacher and a student, unless they exist.

    Both models train only on Dolly's training rows. A call that is killed leaves no half-written
    part, and the next call resumes after the last complete one.

    Args:
        directory: Folder of the world.
        seed: Seed of the corpus, the models' weights and the order of rows.
        teacher_steps: Number of optimiser steps of the teacher.
        student_steps: Number of optimiser steps of the student.
        train: Number of rows of Dolly's training split.
        valid: Number of rows of Dolly's validation split.
        test: Number of rows of each test file.
        report: Called after each step with "teacher" or "student", the number of the step, and its
            loss in nats per token.

    Raises:
        InputError: the folder holds a world with different settings.
    """
    rows = {"train": train, "valid": valid, "test": test}
    steps = {"teacher": teacher_steps, "student": student_steps}
    trainings = {name: asdict(training) for name, training in TRAININGS.items()}
    _claim(directory, {"seed": seed, "rows": rows, "steps": steps, "recipes": trainings})
    world = world_of(directory)
    if not world.data.exists():
        unfinished = unfinished_folder(world.data)
        write_corpus(unfinished, seed, **rows)
        os.replace(unfinished, world.data)
    for folder in (world.teacher, world.student):
        if not folder.exists():
            how = TRAININGS[folder.name]
            given = how.size, how.learning_rate, steps[folder.name], seed, report
            write_model(folder, world.data, *given)
    return world
