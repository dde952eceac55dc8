"""The k likeliest tokens, in an order that does not depend on chance."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_EQUALS = 64  # extra tokens fetched, in case of ties at the end of a ranking


def top(log_probs: "torch.Tensor", k: int) -> "tuple[torch.Tensor, torch.Tensor]":
    """Return values and ids of the k largest, (n, V) to two of (n, min(k, V)).

    Of equal values the lowest id comes first.
    """
    size = log_probs.shape[-1]
    # topk breaks ties arbitrarily, and rounded logits have many ties: fetch more than k.
    values, ids = log_probs.topk(min(k + _EQUALS, size), dim=-1)
    ids, order = ids.sort(dim=-1)
    values, again = values.gather(-1, order).sort(dim=-1, descending=True, stable=True)
    ids = ids.gather(-1, again)
    if values.shape[-1] < size:
        unsure = values[:, -1] == values[:, k - 1]
        if unsure.any():
            ids[unsure, :k] = _lowest(log_probs[unsure], values[unsure, k - 1 : k], k)
            values = log_probs.gather(-1, ids)
    return values[:, :k], ids[:, :k]


def _lowest(log_probs: "torch.Tensor", last: "torch.Tensor", k: int) -> "torch.Tensor":
    """Ids of the k largest in order; ties with the last one go to the lowest ids."""
    larger, equal = log_probs > last, log_probs == last
    room = k - larger.sum(-1, keepdim=True)
    taken = larger | (equal & (equal.cumsum(-1) <= room))
    ids = taken.nonzero()[:, 1].view(-1, k)
    order = log_probs.gather(-1, ids).sort(dim=-1, descending=True, stable=True)[1]
    return ids.gather(-1, order)
