"""From logits to the next token: bans, temperature, top-k, top-p, and each row's own noise.

Every backend that can see logits chooses by this one function, so that a row's text is the same
draw everywhere, up to the arithmetic of the forward pass.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kdbench.protocol import Protocol

if TYPE_CHECKING:
    import torch


def choosing_scores(
    logits: "torch.Tensor",
    protocol: Protocol,
    banned: Sequence[tuple[int, int]],
    keys: "torch.Tensor",
) -> "torch.Tensor":
    """Scores whose argmax is each row's next token.

    Args:
        logits: of the next token, (rows, V).
        protocol: temperature, top_k, top_p.
        banned: pairs of row and token that may not be.
        keys: of this step's noise, int32 of shape (rows, 2) (`noise.step_keys`).

    Returns:
        float32 of shape (rows, V), -inf for what cannot be chosen.
    """
    import torch
    from transformers import TopKLogitsWarper, TopPLogitsWarper

    from kdbench.generate.row.noise import gumbel

    scores = logits.float()
    if banned:
        where = torch.tensor(banned, device=scores.device)
        scores[where[:, 0], where[:, 1]] = -torch.inf
    if protocol.temperature > 0:
        scores = scores / protocol.temperature
        if protocol.top_k:
            scores = TopKLogitsWarper(protocol.top_k)(None, scores)
        if protocol.top_p < 1:
            scores = TopPLogitsWarper(protocol.top_p)(None, scores)
        scores = scores + gumbel(keys, scores.shape[1])
    return scores
