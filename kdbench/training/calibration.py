"""The temperature at which a model's probabilities can be trusted (Guo et al. 2017)."""

from typing import TYPE_CHECKING

from kdbench.errors import InputError

if TYPE_CHECKING:
    import torch

LEAST, MOST = 0.05, 20.0
_HALVINGS = 60


def calibrating_temperature(scores: "torch.Tensor", chosen: "torch.Tensor") -> float:
    """The T at which softmax(scores / T) gives the tokens that occurred the largest likelihood.

    The loss -log p(y) is convex in 1/T, and its slope is the mean of E_p[score] - score(y).

    Args:
        scores: Logits or log-probabilities, (n, k).
        chosen: The place of the token that occurred, int64 (n,).

    Returns:
        T, from 0.05 to 20: an end if the likelihood still grows there.

    Raises:
        InputError: There is no token.
    """
    if not len(scores):
        raise InputError(
            "target_temperature=auto: no token of the validation set is among the teacher's "
            "top_k tokens; give a number, or more tokens"
        )
    scores = scores.double()
    found = scores.gather(-1, chosen[:, None])[:, 0].mean()
    low, high = 1 / MOST, 1 / LEAST
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        expected = ((scores * middle).softmax(-1) * scores).sum(-1).mean()
        low, high = (low, middle) if expected > found else (middle, high)
    return 2 / (low + high)
