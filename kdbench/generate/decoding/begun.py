"""Prefill of a cache with places: prompts begin in column 0, and need no mask.

A causal model never looks to the right, so padding there needs no mask: the attention kernels for
grouped queries without one can be used, and positions are column numbers. The states of the padding
are in columns that a row has not reached yet.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache

from kdbench.generate.decoding.prefill import Prompts
from kdbench.views.probe import accepts

# Tokens of the prompts that a CPU runs together. More are no faster, and short prompts would be
# padded to long ones.
_TOKENS = 256


@dataclass(frozen=True)
class Begun:
    """Prompts after the forward pass, padded on the right.

    Attributes:
        states: Keys and values of each layer, (prompts, heads, length, width).
        logits: Logits of the token after each prompt, (prompts, V).
        lengths: Numbers of tokens, int64 of shape (prompts,).
    """

    states: Sequence[tuple[torch.Tensor, torch.Tensor]]
    logits: torch.Tensor
    lengths: torch.Tensor


def begin_prompts(model: Any, vocabulary: int, prompts: Prompts) -> Iterator[tuple[slice, Begun]]:
    """Run prompts through a model, in one batch on a GPU and in several small ones on a CPU.

    Args:
        model: transformers model in evaluation mode, for which `can_place` holds.
        vocabulary: Number of logits to keep; those beyond it are padding of the head.
        prompts: Prompts of at least one token each.

    Yields:
        Which of the prompts they are, and the prompts after the forward pass.
    """
    for part in _parts(prompts) if model.device.type == "cpu" else [slice(0, len(prompts))]:
        yield part, _run(model, vocabulary, prompts[part])


def _parts(prompts: Prompts) -> Iterator[slice]:
    """Divide prompts into batches of few tokens, padding included."""
    start, longest = 0, 0
    for index, prompt in enumerate(prompts):
        longest = max(longest, len(prompt))
        if start < index and (index + 1 - start) * longest > _TOKENS:
            yield slice(start, index)
            start, longest = index, len(prompt)
    yield slice(start, len(prompts))


def _run(model: Any, vocabulary: int, prompts: Prompts) -> Begun:
    lengths = [len(prompt) for prompt in prompts]
    ids = torch.zeros(len(prompts), max(lengths), dtype=torch.long)
    for row, prompt in zip(ids, prompts, strict=True):
        row[: len(prompt)] = torch.tensor(prompt)
    ids, at = ids.to(model.device), torch.tensor(lengths, device=model.device)
    cache = DynamicCache(config=model.config)
    positions = torch.arange(max(lengths), device=model.device)[None].expand_as(ids)
    extra = {}
    if len(set(lengths)) == 1 and accepts(model, "logits_to_keep"):
        extra["logits_to_keep"] = 1
    with _head_of(model, at - 1):
        output = model(
            input_ids=ids, position_ids=positions, past_key_values=cache, use_cache=True, **extra
        )
    logits = output.logits[:, -1, :vocabulary]
    return Begun([(layer.keys, layer.values) for layer in cache.layers], logits, at)


@contextmanager
def _head_of(model: Any, last: torch.Tensor) -> Iterator[None]:
    """Give the head of a model the states of each row's last token only, for a while."""

    def select(_: Any, given: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        states = given[0]
        if states.shape[1] == 1:  # of prompts of one length
            return given
        rows = torch.arange(len(last), device=last.device)
        return states[rows, last][:, None], *given[1:]

    handle = model.get_output_embeddings().register_forward_pre_hook(select)
    try:
        yield
    finally:
        handle.remove()
