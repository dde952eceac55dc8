"""Responses as tokens, and the company in which a model reads them."""

from collections.abc import Sequence
from typing import Any, TypeVar

T = TypeVar("T")

_TOKENS_PER_BATCH = 4096  # fixed: the company of a text must not depend on settings


def batches_by_length(texts: Sequence[T], lengths: Sequence[int]) -> list[list[T]]:
    """Longest first, a bounded number of tokens each, padding counted; it depends on nothing else.

    Args:
        texts: what to read.
        lengths: tokens of each, prompt and response.
    """
    order = sorted(range(len(texts)), key=lambda index: -lengths[index])
    batches = []
    while order:
        size = max(1, _TOKENS_PER_BATCH // lengths[order[0]])
        batches.append([texts[index] for index in order[:size]])
        order = order[size:]
    return batches


def reference_tokens(tokenizer: Any, text: str, limit: int) -> list[int]:
    """A reference as a model would have written it: with EOS, unless the limit cuts it off."""
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    return [*ids, tokenizer.eos_token_id][:limit]
