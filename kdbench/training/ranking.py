"""Losses of orders: Plackett-Luce, in which each place is chosen among the tokens that are left."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def losses_of_places(logits: "torch.Tensor", order: "torch.Tensor") -> "torch.Tensor":
    """-log of the probability of each place's token among those not yet placed.

    Args:
        logits: The student's, (n, V).
        order: The tokens of the first places, int64 (n, places).

    Returns:
        Shape (n, places), nats.
    """
    import torch

    placed = logits.gather(-1, order)
    left = placed
    if order.shape[-1] < logits.shape[-1]:
        others = logits.scatter(-1, order, -torch.inf).logsumexp(-1, keepdim=True)
        left = torch.cat([placed, others], -1)
    not_yet = left.flip(-1).logcumsumexp(-1).flip(-1)
    return not_yet[:, : order.shape[-1]] - placed
