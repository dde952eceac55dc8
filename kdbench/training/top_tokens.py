"""The likeliest tokens of a view, for losses on these alone, with a model or with cached scores."""

from typing import TYPE_CHECKING

from kdbench.training.chunk import Chunk

if TYPE_CHECKING:
    import torch


def likeliest(chunk: Chunk, view: str, k: int) -> "tuple[torch.Tensor, torch.Tensor]":
    """The k likeliest tokens of a view, in falling order.

    Args:
        chunk: The positions.
        view: The view; its likeliest tokens are enough.
        k: Their number; fewer are returned if fewer are known.

    Returns:
        Their logits, or their log-probabilities where no more is known, whose softmax is the same,
        and their ids, (n, k) each.
    """
    known = chunk.top_k(view)
    if known is None:
        logits = chunk.view_logits(view)
        top = logits.topk(min(k, logits.shape[-1]), dim=-1)
        return top.values, top.indices
    top = known.log_p.topk(min(k, known.log_p.shape[-1]), dim=-1)
    return top.values, known.ids.gather(-1, top.indices)


def likeliest_and_rest(chunk: Chunk, view: str, k: int) -> "tuple[torch.Tensor, torch.Tensor]":
    """The log-probabilities of a view and of the student over k tokens, and all others as one.

    Args:
        chunk: The positions.
        view: The view, whose likeliest tokens they are.
        k: Their number.

    Returns:
        Two tensors (n, k + 1), with the others last; (n, V) if there are no others.
    """
    import torch

    known, log_q = chunk.top_k(view), chunk.log_q
    log_p, rest = (chunk.log_prob(view), None) if known is None else (known.log_p, known.log_rest)
    top = log_p.topk(min(k, log_p.shape[-1]), dim=-1)
    ids = top.indices if known is None else known.ids.gather(-1, top.indices)
    if ids.shape[-1] == log_q.shape[-1]:
        return top.values, log_q.gather(-1, ids)
    others = log_p.scatter(-1, top.indices, -torch.inf)
    if rest is not None:
        others = torch.cat([others, rest[:, None]], -1)
    sides = others, log_q.scatter(-1, ids, -torch.inf)
    rest_p, rest_q = (side.logsumexp(-1, keepdim=True) for side in sides)
    return torch.cat([top.values, rest_p], -1), torch.cat([log_q.gather(-1, ids), rest_q], -1)
