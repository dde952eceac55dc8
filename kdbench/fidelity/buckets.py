"""Token indices in buckets: one by one at first, wider and wider later."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

_SINGLE = 16  # indices that have a bucket each
_PER_DOUBLING = 4


def bucket_starts(limit: int) -> list[int]:
    """The first index of each bucket: 0, 1 to 15, 16, 20, 24, 28, 32, 40 and so on."""
    starts, first, width = list(range(_SINGLE)), _SINGLE, _SINGLE // _PER_DOUBLING
    while first < limit:
        starts += range(first, 2 * first, width)
        first, width = 2 * first, 2 * width
    return [start for start in starts if start < limit]


def bucket_sums(values: "np.ndarray", starts: list[int], limit: int) -> "np.ndarray":
    """Sums of a response's values by bucket, (length,) to (buckets,)."""
    import numpy as np

    whole = np.zeros(len(starts))
    values = values[:limit]
    inside = [start for start in starts if start < len(values)]
    whole[: len(inside)] = np.add.reduceat(values, inside)
    return whole
