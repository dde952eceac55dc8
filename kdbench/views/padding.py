"""Logits of several texts in one forward pass, and whether a model takes them together."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from kdbench.views.probe import accepts, distance, plainly, probe_tokens, tolerance
from kdbench.views.rope import rope_limit

if TYPE_CHECKING:
    import torch

# What is known of models, each checked once: whether padding on the left changes their logits.
_KNOWN: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()


def must_be_alone(model: Any, vocabulary: int, rows: Sequence[Sequence[int]]) -> bool:
    """Whether rows have other logits together than alone.

    Args:
        model: transformers model in evaluation mode.
        vocabulary: Number of tokens V.
        rows: Token ids of each row.
    """
    limit = rope_limit(model.config)
    longest = max(len(row) for row in rows)
    too_long = limit is not None and longest > limit
    return too_long or _padding_disturbs(model, vocabulary)


def _padding_disturbs(model: Any, vocabulary: int) -> bool:
    """Whether a short row has other logits in a batch with a long one."""
    if model not in _KNOWN:
        with plainly(model):
            rows = probe_tokens(model, vocabulary, (4, 17))
            together = last_logits(model, rows, 17)[0, -4:, :vocabulary].float()
            alone = last_logits(model, rows[:1], 4)[0, -4:, :vocabulary].float()
            _KNOWN[model] = distance(together, alone) > tolerance(model.dtype)
    return _KNOWN[model]


def last_logits(model: Any, rows: Sequence[Sequence[int]], kept: int) -> "torch.Tensor":
    """Return the logits at the last positions of each row.

    Rows are padded on the left, so that they end together and few logits are needed.

    Args:
        model: transformers model in evaluation mode.
        rows: Token ids of each row.
        kept: Number of positions, counted from the end.

    Returns:
        Shape (rows, at least `kept`, V of the head), in the model's precision.
    """
    import torch

    longest = max(len(row) for row in rows)
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for index, row in enumerate(rows):
        ids[index, longest - len(row) :] = torch.tensor(row)
        mask[index, longest - len(row) :] = 1
    inputs = {"input_ids": ids.to(model.device)}
    if accepts(model, "attention_mask"):
        inputs["attention_mask"] = mask.to(model.device)
    if accepts(model, "position_ids"):
        inputs["position_ids"] = (mask.cumsum(-1) - 1).clamp(min=0).to(model.device)
    extra = {"logits_to_keep": kept} if accepts(model, "logits_to_keep") else {}
    logits: torch.Tensor = model(**inputs, use_cache=False, **extra).logits
    return logits
