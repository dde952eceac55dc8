"""k-centre greedy: take the point that is farthest from its nearest chosen one, again and again."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_CHUNK = 2**14  # points in one step, whose numbers fit a CPU's caches


@dataclass(frozen=True)
class SparseVectors:
    """One vector or several with the same number of places that may differ from 0.

    Attributes:
        places: These places, integers of (m,) or (n, m), all different in a vector.
        values: The numbers at the places.
    """

    places: NDArray[np.int32]
    values: NDArray[np.float64]


def stacked(vectors: Sequence[SparseVectors]) -> SparseVectors:
    """Several single vectors as one object."""
    return SparseVectors(
        np.stack([vector.places for vector in vectors]),
        np.stack([vector.values for vector in vectors]),
    )


class KCentre:
    """Points, and the distance of each to the nearest centre.

    A centre costs one pass over the points: n·m products for n points with m numbers each.

    Args:
        points: The points to choose from, (n, m). Of equally distant ones the first is taken.
    """

    def __init__(self, points: SparseVectors):
        self._points = points
        self._squares = np.square(points.values).sum(1)
        self._width = int(points.places.max(initial=0)) + 1
        self._taken = np.zeros(len(self), dtype=bool)
        self._nearest = np.full(len(self), np.inf)  # squared

    def __len__(self) -> int:
        return len(self._points.values)

    @property
    def has_any(self) -> bool:
        """Whether there is a centre."""
        return bool(np.isfinite(self._nearest).all())

    @property
    def distances(self) -> NDArray[np.float64]:
        """Euclidean distance of each point to the nearest centre, (n,); infinite without one."""
        roots: NDArray[np.float64] = np.sqrt(self._nearest)
        return roots

    def add(self, centre: SparseVectors) -> None:
        """Add a centre, (m,), which need not be one of the points."""
        is_inside = centre.places < self._width  # all points are 0 elsewhere
        dense = np.zeros(self._width)
        dense[centre.places[is_inside]] = centre.values[is_inside]
        square = float(np.square(centre.values).sum())
        for start in range(0, len(self), _CHUNK):
            own = slice(start, start + _CHUNK)
            products = np.einsum(
                "nm,nm->n", dense[self._points.places[own]], self._points.values[own]
            )
            found = np.maximum(self._squares[own] + square - 2 * products, 0)  # rounding
            np.minimum(self._nearest[own], found, out=self._nearest[own])

    def take(self, place: int) -> None:
        """Make a point a centre."""
        self._taken[place], self._nearest[place] = True, 0.0
        self.add(SparseVectors(self._points.places[place], self._points.values[place]))

    def farthest(self, count: int) -> Iterator[int]:
        """Make points centres and yield their places; at most all that are left."""
        for _ in range(min(count, int((~self._taken).sum()))):
            place = int(np.where(self._taken, -1.0, self._nearest).argmax())
            self.take(place)
            yield place
