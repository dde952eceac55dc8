"""Weights of response tokens: scalars by which an objective multiplies its loss."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

SumOverProcesses = Callable[[Sequence[float]], list[float]]


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


def whitened(
    values: "torch.Tensor", mask: "torch.Tensor", sum_over_processes: SumOverProcesses = list
) -> "torch.Tensor":
    """Scale values to mean 0 and variance 1 over the masks of all processes.

    Args:
        values: The value of each token, (rows, L).
        mask: Which cells hold a token, bool (rows, L).
        sum_over_processes: Returns the sums of numbers over all processes; the default is that of a
            single process.

    Returns:
        The values, (rows, L), 0 outside the mask.
    """
    tokens = values[mask].double()
    count, total = sum_over_processes([float(tokens.numel()), float(tokens.sum())])
    mean = total / max(count, 1)
    (squares,) = sum_over_processes([float((tokens - mean).square().sum())])
    deviation = max(squares / max(count, 1), 1e-8) ** 0.5
    return (values - mean) / deviation * mask


def clipped_ratio_loss(
    ratio: "torch.Tensor", advantage: "torch.Tensor", clip: float
) -> "torch.Tensor":
    """PPO's clipped loss, -min(A ratio, A clip(ratio, 1-clip, 1+clip)) (Schulman et al. 2017)."""
    import torch

    return -torch.minimum(advantage * ratio, advantage * ratio.clamp(1 - clip, 1 + clip))
