"""Prefill: each prompt is run through the model once for all its rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kdbench.views.probe import accepts

if TYPE_CHECKING:
    import torch

Prompts = Sequence[tuple[int, ...]]
"""Token ids of prompts."""


@dataclass(frozen=True)
class Prefilled:
    """Prompts after the forward pass, padded on the left.

    Attributes:
        cache: transformers cache.
        logits: Logits of the token after each prompt, (prompts, V).
        mask: 1 for tokens and 0 for padding, (prompts, length).
    """

    cache: Any
    logits: "torch.Tensor"
    mask: "torch.Tensor"


def prefill(model: Any, vocabulary: int, prompts: Prompts) -> Prefilled:
    """Run prompts through a model.

    Args:
        model: transformers model in evaluation mode.
        vocabulary: Number of logits to keep; those beyond it are padding of the head.
        prompts: Prompts of at least one token each.
    """
    import torch
    from transformers import DynamicCache

    longest = max(map(len, prompts))
    ids = torch.zeros(len(prompts), longest, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for index, prompt in enumerate(prompts):
        ids[index, longest - len(prompt) :] = torch.tensor(prompt)
        mask[index, longest - len(prompt) :] = 1
    cache, mask = DynamicCache(config=model.config), mask.to(model.device)
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    logits = forward(model, ids.to(model.device), mask, positions, cache)
    return Prefilled(cache, logits[:, :vocabulary], mask)


def forward(
    model: Any,
    ids: "torch.Tensor",
    mask: "torch.Tensor",
    positions: "torch.Tensor",
    cache: Any,
) -> "torch.Tensor":
    """Return the logits after the last column, (rows, V of the head).

    Args:
        model: transformers model in evaluation mode.
        ids: Token ids, (rows, columns).
        mask: 1 for tokens and 0 for padding, (rows, columns in the cache with these).
        positions: Positions of the tokens, (rows, columns).
        cache: transformers cache, extended in place.
    """
    extra: dict[str, Any] = {}
    if accepts(model, "position_ids"):
        extra["position_ids"] = positions
    if accepts(model, "logits_to_keep"):
        extra["logits_to_keep"] = 1
    output = model(
        input_ids=ids, attention_mask=mask, past_key_values=cache, use_cache=True, **extra
    )
    logits: torch.Tensor = output.logits[:, -1]
    return logits
