"""Tiny Llama teachers and students, and the toy world on disk with which small runs start."""

from __future__ import annotations

import json
import math
import os
import random
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdbench.errors import InputError
from kdbench.system.files import put_text
from kdbench.toy.corpus import alpaca_prompt, write_corpus
from kdbench.toy.tokenizer import build_tokenizer
from kdbench.views.tokenizers import vocabulary_size

if TYPE_CHECKING:
    import torch
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

IGNORED = -100
WARM_UP_STEPS = 20
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
WorldReport = Callable[[str, int, float], None]


@dataclass(frozen=True)
class World:
    """The folders of a complete toy world."""

    data: Path
    teacher: Path
    student: Path


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


@dataclass(frozen=True)
class EncodedRow:
    """A training row as tokens.

    Attributes:
        ids: Token ids of prompt, response and EOS.
        targets: The same ids, with `IGNORED` in place of the prompt's.
    """

    ids: list[int]
    targets: list[int]


def encode_row(tokenizer: PreTrainedTokenizerFast, row: Mapping[str, Any]) -> EncodedRow:
    """Encode a corpus row with its first reference as the response."""
    prompt = tokenizer(alpaca_prompt(row["instruction"], row["input"])).input_ids
    response = [*tokenizer(row["output"][0]).input_ids, tokenizer.eos_token_id]
    return EncodedRow(prompt + response, [IGNORED] * len(prompt) + response)


def pad_batch(batch: Sequence[EncodedRow], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Stack rows into ids and targets [rows, longest row], padded on the right."""
    import torch

    longest = max(len(row.ids) for row in batch)
    ids = [row.ids + [pad] * (longest - len(row.ids)) for row in batch]
    targets = [row.targets + [IGNORED] * (longest - len(row.ids)) for row in batch]
    return torch.tensor(ids), torch.tensor(targets)


def response_loss(
    model: LlamaForCausalLM, ids: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """The mean cross-entropy of response tokens and EOS, in nats per token.

    Padding on the right needs no attention mask, since a causal model does not look ahead.

    Args:
        model: The model.
        ids: Token ids [rows, length].
        targets: Target ids [rows, length], `IGNORED` where there is no loss.
    """
    from torch.nn.functional import cross_entropy

    hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
    next_ids = targets[:, 1:]
    counted = next_ids != IGNORED
    return cross_entropy(model.lm_head(hidden[counted]), next_ids[counted])


def _batches(
    rows: Sequence[EncodedRow], size: int, rng: random.Random
) -> Iterator[list[EncodedRow]]:
    """Yield batches without end, in a new order each epoch.

    Grouping rows by length would halve the padding. But batches would then hold one kind of task,
    and their gradients are so noisy that the toy models learn less per second.
    """
    while True:
        order = rng.sample(rows, len(rows))
        yield from (order[start : start + size] for start in range(0, len(order), size))


def _learning_rate_factor(step: int, steps: int) -> float:
    warm_up = min(1.0, (step + 1) / min(WARM_UP_STEPS, steps))
    return warm_up * 0.5 * (1.0 + math.cos(math.pi * step / steps))


def finetune(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    rows: Sequence[Mapping[str, Any]],
    steps: int,
    batch_size: int = 32,
    learning_rate: float = 2e-3,
    seed: int = 0,
    report: Callable[[int, float], None] | None = None,
) -> list[float]:
    """Train a model in place on the responses of corpus rows.

    Args:
        model: The model.
        tokenizer: Its tokenizer.
        rows: Rows of the corpus.
        steps: Number of optimiser steps.
        batch_size: Rows per step.
        learning_rate: Peak learning rate of AdamW.
        seed: Seed of the order of rows.
        report: Called after each step with its number and its loss.

    Returns:
        The loss of each step, in nats per token.

    Raises:
        ValueError: there are no rows, or `steps` or `batch_size` is below one.
    """
    import torch

    if not rows or min(steps, batch_size) < 1:
        raise ValueError(f"nothing to train: {len(rows)} rows, {steps=}, {batch_size=}")
    rng = random.Random(f"kdbench-toy-finetune-{seed}")
    batches = _batches([encode_row(tokenizer, row) for row in rows], batch_size, rng)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=learning_rate, betas=(0.9, 0.95), weight_decay=0.1, fused=True
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: _learning_rate_factor(step, steps)
    )
    losses = []
    model.train()
    for step in range(1, steps + 1):
        loss = response_loss(model, *pad_batch(next(batches), tokenizer.pad_token_id))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()))
        if report is not None:
            report(step, losses[-1])
    model.eval()
    return losses


def _unfinished(folder: Path) -> Path:
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


def _write_checkpoint(
    folder: Path, data: Path, seed: int, steps: int, report: WorldReport | None
) -> None:
    """Train the model that `folder` is named after, and put it there in one step."""
    name, training = folder.name, TRAININGS[folder.name]
    tokenizer = build_tokenizer(data)
    model = random_model(tokenizer, training.size, seed)
    text = (data / "dolly" / "train.jsonl").read_text(encoding="utf-8")
    finetune(
        model,
        tokenizer,
        rows=[json.loads(line) for line in text.splitlines()],
        steps=steps,
        learning_rate=training.learning_rate,
        seed=seed,
        report=partial(report, name) if report else None,
    )
    unfinished = _unfinished(folder)
    model.save_pretrained(unfinished)
    tokenizer.save_pretrained(unfinished)
    os.replace(unfinished, folder)


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
    world = World(directory / "data", directory / "teacher", directory / "student")
    if not world.data.exists():
        unfinished = _unfinished(world.data)
        write_corpus(unfinished, seed, **rows)
        os.replace(unfinished, world.data)
    for folder in (world.teacher, world.student):
        if not folder.exists():
            _write_checkpoint(folder, world.data, seed, steps[folder.name], report)
    return world
