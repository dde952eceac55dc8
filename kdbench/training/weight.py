"""Weights: scalars of response tokens, (rows, L) with a mask, that objectives multiply with."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def mean_of_rest(
    rewards: "torch.Tensor", mask: "torch.Tensor", discount: float, normalise: bool = True
) -> "torch.Tensor":
    """The discounted sum of the rewards from each token on, divided by the number of them.

    MiniLLM's length normalisation: (sum over k >= t of discount^(k-t) r_k) / (T - t + 1). Summed
    backwards, so that no power of the discount underflows on long responses.

    Args:
        rewards: (rows, L).
        mask: which cells hold a token, bool.
        discount: of later rewards, 0 to 1.
        normalise: divide.
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
    """Mean 0 and variance 1 over the tokens of the mask; padding neither counts nor changes."""
    kept = values[mask]
    spread = kept.var(unbiased=False).clamp(min=1e-8).sqrt()
    return (values - kept.mean()) / spread * mask


def clipped_ratio_loss(
    ratio: "torch.Tensor", advantage: "torch.Tensor", clip: float
) -> "torch.Tensor":
    """PPO's -min(A ratio, A clip(ratio, 1-clip, 1+clip)) (Schulman et al. 2017)."""
    import torch

    return -torch.minimum(advantage * ratio, advantage * ratio.clamp(1 - clip, 1 + clip))
