"""Weights of response tokens: scalars by which an objective multiplies its loss."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def mean_of_rest(
    rewards: "torch.Tensor", mask: "torch.Tensor", discount: float, normalise: bool = True
) -> "torch.Tensor":
    """The discounted sum of the rewards from each token on, divided by the number of tokens left.

    MiniLLM's length normalisation: (sum over k >= t of discount^(k-t) r_k) / (T - t + 1). The sum
    runs backwards, so that no power of the discount underflows on long responses.

    Args:
        rewards: The reward of each token, (rows, L).
        mask: Which cells hold a token, bool (rows, L).
        discount: Discount of later rewards per token, 0 to 1.
        normalise: Whether to divide by the number of tokens left.

    Returns:
        The values, (rows, L), 0 outside the mask.
    """
    import torch

    rewards = rewards * mask
    total, totals = torch.zeros_like(rewards[:, 0]), torch.zeros_like(rewards)
    for place in range(rewards.shape[1] - 1, -1, -1):
        total = rewards[:, place] + discount * total
        totals[:, place] = total
    if normalise:
        totals = totals / mask.flip(-1).cumsum(-1).flip(-1).clamp(min=1)
    return totals * mask


def whitened(values: "torch.Tensor", mask: "torch.Tensor") -> "torch.Tensor":
    """Scale values to mean 0 and variance 1 over the mask; all of (rows, L), 0 outside the mask."""
    tokens = values[mask]
    deviation = tokens.var(unbiased=False).clamp(min=1e-8).sqrt()
    return (values - tokens.mean()) / deviation * mask


def clipped_ratio_loss(
    ratio: "torch.Tensor", advantage: "torch.Tensor", clip: float
) -> "torch.Tensor":
    """PPO's clipped loss, -min(A ratio, A clip(ratio, 1-clip, 1+clip)) (Schulman et al. 2017)."""
    import torch

    return -torch.minimum(advantage * ratio, advantage * ratio.clamp(1 - clip, 1 + clip))
