"""Prompts go through the model: once for all rows that answer them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kdbench.views.probe import accepts

if TYPE_CHECKING:
    import torch

Prompts = Sequence[tuple[int, ...]]


@dataclass(frozen=True)
class Prefilled:
    """Prompts that have gone through a model, padded on the left.

    Attributes:
        cache: a transformers cache.
        logits: of the token after each prompt, (prompts, V).
        mask: 1 for tokens, 0 for padding, (prompts, length).
    """

    cache: Any
    logits: "torch.Tensor"
    mask: "torch.Tensor"

    def states(self) -> Iterator[tuple["torch.Tensor", "torch.Tensor"]]:
        """Keys and values of each layer, each prompt's tokens from column 0 on."""
        import torch

        length = self.mask.shape[1]
        padding = length - self.mask.sum(-1, keepdim=True)
        columns = torch.arange(length, device=self.mask.device)[None] + padding
        columns = columns.clamp(max=length - 1)[:, None, :, None]  # beyond a prompt: anything
        for layer in self.cache.layers:
            yield (
                layer.keys.gather(2, columns.expand(-1, *layer.keys.shape[1:])),
                layer.values.gather(2, columns.expand(-1, *layer.values.shape[1:])),
            )


def prefill(model: Any, vocabulary: int, prompts: Prompts) -> Prefilled:
    """Run prompts.

    Args:
        model: a transformers model in evaluation mode.
        vocabulary: logits beyond it, padding of the head, are cut off.
        prompts: each at least one token.
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
    """Logits after the last column, (rows, V of the head)."""
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
