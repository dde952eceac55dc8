"""From logits to the next token: bans, temperature, top-k, top-p and the row's noise.

Every backend that has logits chooses with this function. So the text of a row is the same draw
everywhere, up to the arithmetic of the forward pass.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kdbench.protocol import Protocol

if TYPE_CHECKING:
    import torch


def choose(
    logits: "torch.Tensor",
    protocol: Protocol,
    banned: Sequence[tuple[int, int]],
    keys: "torch.Tensor",
) -> tuple["torch.Tensor", "torch.Tensor"]:
    """Choose each row's next token: the argmax of `choosing_scores`, without most of its memory.

    Args:
        logits: Logits of the next token, (rows, V); banned ones are overwritten.
        protocol: Protocol with temperature, top_k and top_p.
        banned: Pairs of a row's index and a token that it must not choose.
        keys: Noise keys of this step, int32 of shape (rows, 2) (`noise.step_keys`).

    Returns:
        The best scores, of shape (rows,), and the tokens that have them, int64.
    """
    from kdbench.generate.row.drawing import draw

    _ban(logits, banned)
    if protocol.temperature <= 0:
        best, tokens = logits.max(dim=-1)
        return best, tokens
    if protocol.top_k or protocol.top_p < 1:
        return draw(_warped(logits.float(), protocol), 1.0, keys)
    return draw(logits, protocol.temperature, keys)


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
    from kdbench.generate.row.noise import gumbel

    scores = logits.float()
    _ban(scores, banned)
    if protocol.temperature > 0:
        scores = _warped(scores, protocol)
        scores = scores + gumbel(keys, scores.shape[1])
    return scores


def sampling_log_probs(
    logits: "torch.Tensor", protocol: Protocol, banned: Sequence[tuple[int, int]]
) -> "torch.Tensor":
    """Return the log-probabilities of the distributions that `choose` draws from.

    Args:
        logits: Logits of the next token, (rows, V).
        protocol: Protocol with temperature, top_k and top_p; under greedy decoding the distribution
            is a single token.
        banned: Pairs of a row's index and a token that it must not choose.

    Returns:
        float32 tensor of shape (rows, V), -inf for tokens that cannot be chosen.
    """
    import torch

    scores = logits.float().clone()
    _ban(scores, banned)
    if protocol.temperature > 0:
        return _warped(scores, protocol).log_softmax(-1)
    only = torch.full_like(scores, -torch.inf)
    return only.scatter(-1, scores.argmax(-1, keepdim=True), 0.0)


def _ban(scores: "torch.Tensor", banned: Sequence[tuple[int, int]]) -> None:
    """Overwrite the scores of banned tokens."""
    import torch

    if not banned:
        return
    where = torch.tensor(banned)
    if scores.is_cuda:  # from pinned memory, the copy does not wait for the running step
        where = where.pin_memory().to(scores.device, non_blocking=True)
    scores[where[:, 0], where[:, 1]] = -torch.inf


def _warped(scores: "torch.Tensor", protocol: Protocol) -> "torch.Tensor":
    """Apply temperature, top-k and top-p to float32 scores, (rows, V)."""
    from transformers import TopKLogitsWarper, TopPLogitsWarper

    scores = scores / protocol.temperature
    if protocol.top_k:
        scores = TopKLogitsWarper(protocol.top_k)(None, scores)
    if protocol.top_p < 1:
        scores = TopPLogitsWarper(protocol.top_p)(None, scores)
    return scores
