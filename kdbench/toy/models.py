"""Tiny Llama teachers and students, and the toy world on disk that every small run starts from."""

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

from kdbench.toy.corpus import alpaca_prompt, write_corpus
from kdbench.toy.tokenizer import build_tokenizer

if TYPE_CHECKING:
    import torch
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

IGNORED = -100
WARM_UP_STEPS = 20
CONTEXT_LENGTH = 512

# Three times the usual value: these narrow models wait long for their first copying heads if
# attention starts out flat.
INITIAL_SPREAD = 0.06


@dataclass(frozen=True)
class Size:
    """The shape of a toy model: `width` is the hidden size, `inner` that of the feed-forward."""

    layers: int
    width: int
    heads: int
    inner: int


TEACHER = Size(layers=4, width=128, heads=4, inner=352)
STUDENT = Size(layers=2, width=64, heads=4, inner=128)


@dataclass(frozen=True)
class Recipe:
    """How one model of the toy world is made."""

    size: Size
    learning_rate: float


RECIPES = {"teacher": Recipe(TEACHER, 2e-3), "student": Recipe(STUDENT, 5e-3)}
WorldReport = Callable[[str, int, float], None]


@dataclass(frozen=True)
class World:
    """The folders of a complete toy world."""

    data: Path
    teacher: Path
    student: Path


def random_model(tokenizer: PreTrainedTokenizerFast, size: Size, seed: int) -> LlamaForCausalLM:
    """Return a float32 Llama with tied embeddings whose weights depend on `seed` alone."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(tokenizer),
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
class Encoded:
    """One training row: `ids` holds prompt, response and EOS; `targets` ignores the prompt."""

    ids: list[int]
    targets: list[int]


def encode_row(tokenizer: PreTrainedTokenizerFast, row: Mapping[str, Any]) -> Encoded:
    """Encode a corpus row with its first reference as the response."""
    prompt = tokenizer(alpaca_prompt(row["instruction"], row["input"])).input_ids
    response = [*tokenizer(row["output"][0]).input_ids, tokenizer.eos_token_id]
    return Encoded(prompt + response, [IGNORED] * len(prompt) + response)


def pad_batch(batch: Sequence[Encoded], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ids and targets, both [rows, longest row], padded on the right."""
    import torch

    longest = max(len(row.ids) for row in batch)
    ids = [row.ids + [pad] * (longest - len(row.ids)) for row in batch]
    targets = [row.targets + [IGNORED] * (longest - len(row.ids)) for row in batch]
    return torch.tensor(ids), torch.tensor(targets)


def response_loss(
    model: LlamaForCausalLM, ids: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """Return the mean cross-entropy in nats per response token, EOS included.

    `ids` and `targets` are [rows, length]. Padding on the right needs no attention mask, since
    no position of a causal model looks ahead.
    """
    from torch.nn.functional import cross_entropy

    hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
    wanted = targets[:, 1:]
    kept = wanted != IGNORED
    return cross_entropy(model.lm_head(hidden[kept]), wanted[kept])


def _batches(rows: Sequence[Encoded], size: int, rng: random.Random) -> Iterator[list[Encoded]]:
    """Yield batches without end, in a new order each epoch.

    Grouping rows by length would halve the padding, but a batch of one kind of task gives so
    noisy a gradient that the toy models learn less per second.
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
    """Train `model` in place on the responses of corpus rows and return the loss of each step.

    `report` receives the number of finished steps and the loss in nats per token. Raises
    ValueError when there are no rows or `steps` or `batch_size` is below one.
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
    """Record what the world is made from, so that no other world is taken for it."""
    path = directory / "world.json"
    if path.exists():
        found = json.loads(path.read_text(encoding="utf-8"))
        if found != settings:
            raise ValueError(f"{directory} holds another toy world: {found}, not {settings}")
        return
    directory.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(".world.json.unfinished")
    unfinished.write_text(json.dumps(settings) + "\n", encoding="utf-8")
    os.replace(unfinished, path)


def _write_checkpoint(
    folder: Path, data: Path, seed: int, steps: int, report: WorldReport | None
) -> None:
    """Train the model that `folder` is named after and put it there in one step."""
    name, recipe = folder.name, RECIPES[folder.name]
    tokenizer = build_tokenizer(data)
    model = random_model(tokenizer, recipe.size, seed)
    text = (data / "dolly" / "train.jsonl").read_text(encoding="utf-8")
    finetune(
        model,
        tokenizer,
        rows=[json.loads(line) for line in text.splitlines()],
        steps=steps,
        learning_rate=recipe.learning_rate,
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
    """Write the toy corpus, a teacher and a student under `directory`, skipping what is there.

    Both models learn from the Dolly training rows alone; a checkpoint folder holds model and
    tokenizer. A killed run leaves no half-written part, and the next one goes on after the last
    complete part. `report` receives "teacher" or "student", the number of finished steps and the
    loss in nats per token. Raises ValueError when `directory` holds a world made with other
    arguments.
    """
    rows = {"train": train, "valid": valid, "test": test}
    steps = {"teacher": teacher_steps, "student": student_steps}
    recipes = {name: asdict(recipe) for name, recipe in RECIPES.items()}
    _claim(directory, {"seed": seed, "rows": rows, "steps": steps, "recipes": recipes})
    world = World(directory / "data", directory / "teacher", directory / "student")
    if not world.data.exists():
        unfinished = _unfinished(world.data)
        write_corpus(unfinished, seed, **rows)
        os.replace(unfinished, world.data)
    for folder in (world.teacher, world.student):
        if not folder.exists():
            _write_checkpoint(folder, world.data, seed, steps[folder.name], report)
    return world
