"""From logits to the next token: bans, temperature, top-k, top-p and the row's noise.

Every backend that has logits chooses with this function. So the text of a row is the same draw
everywhere, up to the arithmetic of the forward pass.
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
    """Return scores whose argmax is each row's next token.

    Args:
        logits: Logits of the next token, (rows, V).
        protocol: Protocol with temperature, top_k and top_p.
        banned: Pairs of a row's index and a token that it must not choose.
        keys: Noise keys of this step, int32 of shape (rows, 2) (`noise.step_keys`).

    Returns:
        float32 tensor of shape (rows, V), -inf for tokens that cannot be chosen.
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
