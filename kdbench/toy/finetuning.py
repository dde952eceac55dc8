"""Training of toy models on the responses of corpus rows."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kdbench.toy.corpus import alpaca_prompt

if TYPE_CHECKING:
    import torch
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

IGNORED = -100
_WARM_UP_STEPS = 20


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
    warm_up = min(1.0, (step + 1) / min(_WARM_UP_STEPS, steps))
    return warm_up * 0.5 * (1.0 + math.cos(math.pi * step / steps))


def _optimizer(
    model: LlamaForCausalLM, learning_rate: float, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    import torch

    optimizer = torch.optim.AdamW(
        model.parameters(), lr=learning_rate, betas=(0.9, 0.95), weight_decay=0.1, fused=True
    )
    return optimizer, torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: _learning_rate_factor(step, steps)
    )


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
    encoded = [encode_row(tokenizer, row) for row in rows]
    return finetune_rows(model, tokenizer, encoded, steps, batch_size, learning_rate, seed, report)


def finetune_rows(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    rows: Sequence[EncodedRow],
    steps: int,
    batch_size: int = 32,
    learning_rate: float = 2e-3,
    seed: int = 0,
    report: Callable[[int, float], None] | None = None,
) -> list[float]:
    """Train a model in place on encoded rows; as `finetune` does with rows of the corpus.

    Returns:
        The loss of each step, in nats per token.

    Raises:
        ValueError: there are no rows, or `steps` or `batch_size` is below one.
    """
    import torch

    if not rows or min(steps, batch_size) < 1:
        raise ValueError(f"nothing to train: {len(rows)} rows, {steps=}, {batch_size=}")
    rng = random.Random(f"kdbench-toy-finetune-{seed}")
    batches = _batches(rows, batch_size, rng)
    optimizer, schedule = _optimizer(model, learning_rate, steps)
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
