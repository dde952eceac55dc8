"""Reference responses as tokens, and the composition of the batches in which models read texts."""

from collections.abc import Sequence
from typing import Any, TypeVar

T = TypeVar("T")

_TOKENS_PER_BATCH = 4096  # fixed: batch composition must not depend on settings


def batches_by_length(texts: Sequence[T], lengths: Sequence[int]) -> list[list[T]]:
    """Split texts into batches, longest first, with a bounded number of tokens including padding.

    The composition of the batches depends on nothing else.

    Args:
        texts: The texts to read.
        lengths: The number of tokens of each text, prompt and response.
    """
    order = sorted(range(len(texts)), key=lambda index: -lengths[index])
    batches = []
    while order:
        size = max(1, _TOKENS_PER_BATCH // lengths[order[0]])
        batches.append([texts[index] for index in order[:size]])
        order = order[size:]
    return batches


def reference_tokens(tokenizer: Any, text: str, limit: int) -> list[int]:
    """The tokens of a reference with EOS, cut at the limit as a model's response would be."""
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    return [*ids, tokenizer.eos_token_id][:limit]
