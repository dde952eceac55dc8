"""Sampling noise that belongs to a row, not to a batch.

Sampling from a softmax is an argmax: with independent E_v ~ Exponential(1),
argmax_v(logit_v - log E_v) is a draw from softmax(logits) (the Gumbel-max trick; -log E is a
standard Gumbel variable). E_v comes from a counter-based generator of (seed, document, step, v), in
integer arithmetic that is the same on every device. So the draw of a row is the same alone and in
any batch, in any order and after a resume, and a small error in the logits changes it only where
two candidates nearly tie.
"""

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import torch

# The mixing constants of Wellons' lowbias32, with the second key added between its rounds. int32
# multiplication wraps, and a mask makes the arithmetic shift a logical one.
_SPREAD, _MIX, _MIX_AGAIN = 0x2545F491, 0x7FEB352D, 0x846CA68B - 2**32


def step_keys(seed: int, document: str, steps: int) -> "np.ndarray":
    """Return two 32-bit keys for each step of a row: the bytes of SHAKE-128 of (seed, document).

    Args:
        seed: Seed of the sampling noise.
        document: Id of the document.
        steps: Number of steps.

    Returns:
        int32 array of shape (steps, 2). A longer row begins with the keys of a shorter one.
    """
    import numpy as np

    digest = hashlib.shake_128(f"{seed}\0{document}".encode()).digest(8 * steps)
    return np.frombuffer(digest, dtype="<i4").reshape(steps, 2)


def gumbel(keys: "torch.Tensor", vocabulary: int) -> "torch.Tensor":
    """Draw standard Gumbel variables.

    Args:
        keys: Keys of one step of each row, int32 of shape (rows, 2).
        vocabulary: Number of columns V.

    Returns:
        float32 tensor of shape (rows, V) on the device of the keys.
    """
    import torch

    if keys.device.type != "cpu":
        return gumbel_of(keys, torch.arange(vocabulary, dtype=torch.int32, device=keys.device))
    # One row at a time stays in the processor's cache: six times faster than all at once.
    scratch, noise = Scratch(vocabulary), torch.empty(len(keys), vocabulary)
    for row, (first, second) in enumerate(keys.tolist()):
        noise[row] = scratch.gumbel(first, second)
    return noise


def gumbel_of(keys: "torch.Tensor", ids: "torch.Tensor") -> "torch.Tensor":
    """Draw the Gumbel variables of some tokens.

    Args:
        keys: Keys of one step of each row, int32 of shape (..., 2).
        ids: Ids of tokens, int32 of shape (tokens,).

    Returns:
        float32 tensor of shape (..., tokens).
    """
    first, second = keys[..., :1], keys[..., 1:]
    bits = ids * _SPREAD + first
    bits = (bits ^ ((bits >> 16) & 0xFFFF)) * _MIX + second
    bits = (bits ^ ((bits >> 15) & 0x1FFFF)) * _MIX_AGAIN
    bits = bits ^ ((bits >> 16) & 0xFFFF)
    # Small uniforms, which decide the argmax, keep full precision in float32.
    uniform = ((bits & 0x7FFFFFFF).float() + 0.5) * 2.0**-31
    return -(-(-uniform).log1p()).log()


class Scratch:
    """Memory in which a CPU draws one row after another; the same numbers as `gumbel_of`.

    Args:
        vocabulary: Number of tokens V.
    """

    def __init__(self, vocabulary: int):
        import torch

        self._spread = torch.arange(vocabulary, dtype=torch.int32) * _SPREAD
        self._bits, self._shifted = torch.empty_like(self._spread), torch.empty_like(self._spread)
        self._noise = torch.empty(vocabulary)

    def gumbel(self, first: int, second: int) -> "torch.Tensor":
        """Draw the Gumbel variables of one row.

        Args:
            first: First key of the step.
            second: Second key.

        Returns:
            float32 tensor of shape (V,), which the next call overwrites.
        """
        import torch

        bits, noise = self._bits, self._noise
        torch.add(self._spread, first, out=bits)
        self._fold(16, 0xFFFF).mul_(_MIX).add_(second)
        self._fold(15, 0x1FFFF).mul_(_MIX_AGAIN)
        self._fold(16, 0xFFFF).bitwise_and_(0x7FFFFFFF)
        noise.copy_(bits).add_(0.5).mul_(-(2.0**-31)).log1p_()
        return noise.neg_().log_().neg_()

    def _fold(self, places: int, mask: int) -> "torch.Tensor":
        """Mix the upper bits into the lower ones, in place."""
        import torch

        torch.bitwise_right_shift(self._bits, places, out=self._shifted)
        return self._bits.bitwise_xor_(self._shifted.bitwise_and_(mask))
