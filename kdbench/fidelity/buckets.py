"""Buckets of token indices: single indices first, then wider and wider buckets."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

_SINGLE = 16  # number of indices that have a bucket of their own
_PER_DOUBLING = 4


def bucket_starts(limit: int) -> list[int]:
    """Return the first index of each bucket: 0, 1 to 15, 16, 20, 24, 28, 32, 40 and so on."""
    starts, first, width = list(range(_SINGLE)), _SINGLE, _SINGLE // _PER_DOUBLING
    while first < limit:
        starts += range(first, 2 * first, width)
        first, width = 2 * first, 2 * width
    return [start for start in starts if start < limit]


def bucket_sums(values: "np.ndarray", starts: list[int], limit: int) -> "np.ndarray":
    """Sum a response's values by bucket.

    Args:
        values: Values by token index, (length,).
        starts: First index of each bucket.
        limit: Number of token indices that count.

    Returns:
        Sums, (buckets,).
    """
    import numpy as np

    sums = np.zeros(len(starts))
    values = values[:limit]
    reached = [start for start in starts if start < len(values)]
    sums[: len(reached)] = np.add.reduceat(values, reached)
    return sums
