"""Attention of decoding: heads that share keys and values read them where they are.

With grouped queries, several heads of queries share one of keys and values. Where a mask is given,
transformers copies keys and values for each head (in a prefill, and in older versions at every
token), since torch's kernels refuse grouped queries with a mask. Here the queries are arranged
instead: for one token, a group is a short sequence of queries that attends to the same columns.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

_NAME = "sdpa"
_LOCK, _INSIDE = Lock(), list[None]()  # one entry for each decoding that runs
_WIDEST_FLASH = 256  # largest width of a head in torch's flash attention on a GPU
# What a model may say without a change to the scores. A window is in the mask already.
_WITHOUT_EFFECT = {"sliding_window", "position_ids", "use_cache", "cache_position", "layer_idx"}


@contextmanager
def grouped() -> Iterator[None]:
    """The attention `sdpa` of transformers without copies for grouped queries, for a while.

    Threads may do so at once: the last one that ends gives transformers its own back.
    """
    if ALL_ATTENTION_FUNCTIONS[_NAME] not in (sdpa_attention_forward, grouped_attention):
        yield  # a user's own
        return
    with _LOCK:
        _INSIDE.append(None)
        ALL_ATTENTION_FUNCTIONS[_NAME] = grouped_attention
    try:
        yield
    finally:
        with _LOCK:
            _INSIDE.pop()
            if not _INSIDE:
                del ALL_ATTENTION_FUNCTIONS[_NAME]


def grouped_attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    is_causal: bool | None = None,
    **rest: Any,
) -> tuple[torch.Tensor, None]:
    """Attend, as transformers' `sdpa_attention_forward` does.

    Args:
        module: The attention layer.
        query: Queries, (rows, heads, tokens, width).
        key: Keys, (rows, heads of keys, columns, width), with `heads` a multiple.
        value: Values, (rows, heads of keys, columns, width of values).
        attention_mask: What may be attended to, (rows or 1, heads or 1, tokens, columns), of
            booleans or to be added; None is everything, or what is_causal says.
        dropout: Share of weights that is dropped.
        scaling: Factor of the scores; None is 1 / sqrt(width).
        is_causal: Whether a token attends to no later one; None is what the layer says.
        rest: Other arguments of the layer; what might change the scores is left to transformers.

    Returns:
        Of shape (rows, tokens, heads, width of values), and None for the weights.
    """
    groups = query.shape[1] // key.shape[1]
    special = any(
        given is not None and given is not False and name not in _WITHOUT_EFFECT
        for name, given in rest.items()
    )
    if groups == 1 or dropout or special or not _is_plain(query, key, attention_mask):
        return sdpa_attention_forward(  # type: ignore[no-any-return]
            module, query, key, value, attention_mask, dropout, scaling, is_causal, **rest
        )
    if torch.is_autocast_enabled(query.device.type):  # once, not for each group
        precision = torch.get_autocast_dtype(query.device.type)
        query, key, value = query.to(precision), key.to(precision), value.to(precision)
    rows, heads, tokens, _ = query.shape
    by_group = query.unflatten(1, (key.shape[1], groups))
    if tokens == 1:
        states = scaled_dot_product_attention(
            by_group[:, :, :, 0], key, value, attn_mask=attention_mask, scale=scaling
        )
        return states.reshape(rows, 1, heads, states.shape[-1]), None
    causal = attention_mask is None and (
        is_causal if is_causal is not None else getattr(module, "is_causal", True)
    )
    if attention_mask is None and _has_grouped_kernel(query, value):
        states = scaled_dot_product_attention(
            query, key, value, scale=scaling, is_causal=causal, enable_gqa=True
        )
        return states.transpose(1, 2).contiguous(), None
    attended = query.new_empty(rows, tokens, key.shape[1], groups, value.shape[-1])
    for group in range(groups):
        states = scaled_dot_product_attention(
            by_group[:, :, group],
            key,
            value,
            attn_mask=attention_mask,
            scale=scaling,
            is_causal=causal,
        )
        attended[:, :, :, group] = states.transpose(1, 2)
    return attended.flatten(2, 3), None


def _is_plain(query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor | None) -> bool:
    """Whether heads divide into groups under one mask, and a prompt has no columns before it."""
    divides = query.shape[1] % key.shape[1] == 0 and query.shape[0] == key.shape[0]
    same_mask = mask is None or (mask.dim() == 4 and mask.shape[1] == 1)
    whole = mask is not None or query.shape[2] in (1, key.shape[2])
    return divides and same_mask and whole


def _has_grouped_kernel(query: torch.Tensor, value: torch.Tensor) -> bool:
    """Whether torch has a kernel for grouped queries: flash attention, of 16 bits on a GPU."""
    return (
        query.is_cuda
        and query.dtype in (torch.float16, torch.bfloat16)
        and query.shape[-1] == value.shape[-1] <= _WIDEST_FLASH
    )
