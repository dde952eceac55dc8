"""Bits per byte of student and teacher on the same text, whatever their tokenizers.

Metric: -log2 of the probability that a model gives to the responses, without their end tokens, over
        their number of UTF-8 bytes; sums over all responses, then the ratio. `aligned` is the share
        of the student's tokens that begin where one of the teacher's does, on which the other
        metrics across tokenizers stand.
Source: Gao et al. 2020 (arXiv 2101.00027), section 3.1.
"""

import math
from typing import TYPE_CHECKING

from kdbench.metrics import PooledTokenMetric, Positions, TokenMetric, metrics
from kdbench.metrics.retained import ratio

if TYPE_CHECKING:
    import numpy as np
    import torch


class _BitsPerByte(PooledTokenMetric):
    by_default = False
    unit = "bits"
    direction = "none"
    from_top_k = "exact"
    across_tokenizers = True
    everywhere = True
    needs_bytes = True
    undefined = "the tokens' texts are not known"

    def value(self, sums: "np.ndarray") -> "np.ndarray":
        """Compute the ratio of bits and bytes."""
        return ratio(sums[..., 0], sums[..., 1])


@metrics.register("bits_per_byte")
class BitsPerByte(_BitsPerByte):
    """The student's bits per byte of a response."""

    name = "bits_per_byte"

    def sums(self, at: Positions) -> "torch.Tensor":
        """Return bits and bytes."""
        return _bits_and_bytes(at, at.target_log_q)


@metrics.register("teacher_bits_per_byte")
class TeacherBitsPerByte(_BitsPerByte):
    """The teacher's bits per byte of a response."""

    name = "teacher_bits_per_byte"

    def sums(self, at: Positions) -> "torch.Tensor":
        """Return bits and bytes."""
        return _bits_and_bytes(at, at.target_log_p)


@metrics.register("aligned")
class Aligned(TokenMetric):
    """Share of the student's tokens that begin where one of the teacher's begins."""

    by_default = False
    name = "aligned"
    unit = "rate"
    direction = "none"
    perfect = 1.0
    from_top_k = "exact"
    across_tokenizers = True
    everywhere = True

    def values(self, at: Positions) -> "torch.Tensor":
        """Return 0 or 1."""
        import torch

        if at.meets is None:
            return torch.ones_like(at.log_q[:, 0])
        return at.meets.float()


def _bits_and_bytes(at: Positions, log_probs: "torch.Tensor") -> "torch.Tensor":
    import torch

    if at.target_bytes is None:
        return log_probs.new_zeros(len(log_probs), 2)
    bits = (-log_probs / math.log(2)).masked_fill(at.target_bytes < 0, 0.0)
    return torch.stack([bits, at.target_bytes.clamp(min=0).to(bits.dtype)], -1)
