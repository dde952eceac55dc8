"""Which differences between methods a second table shows again."""

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from kdbench.stats.over_seeds import SeedMean, difference_over_seeds
from kdbench.stats.paired import holm
from kdbench.stats.pooled_seeds import pooled_pairs

if TYPE_CHECKING:
    import numpy as np

_LEVEL = 0.05


@dataclass(frozen=True)
class PairInBoth:
    """The difference of two methods in two tables, first minus second method.

    Attributes:
        places: Rows of the two methods.
        first: The difference in the first table, paired by training seed.
        second: That in the second.
        p_first: P-value in the first table after Holm's correction over all pairs.
        p_second: That in the second.
    """

    places: tuple[int, int]
    first: SeedMean
    second: SeedMean
    p_first: float
    p_second: float

    @property
    def has_same_sign(self) -> bool:
        """Whether the differences point the same way."""
        return self.first.value * self.second.value > 0

    @property
    def verdict(self) -> str:
        """What the second table shows: `same`, `opposite` or `not significant`."""
        if self.p_second > _LEVEL:
            return "not significant"
        return "same" if self.has_same_sign else "opposite"

    def turned(self) -> "PairInBoth":
        """The same pair, its second method first."""
        return PairInBoth(
            (self.places[1], self.places[0]),
            _negative(self.first),
            _negative(self.second),
            self.p_first,
            self.p_second,
        )


@dataclass(frozen=True)
class PairsKept:
    """The differences that are significant in the first table.

    Attributes:
        found: These pairs.
        total: Number of all pairs.
    """

    found: tuple[PairInBoth, ...]
    total: int

    @property
    def same_sign(self) -> int:
        """How many point the same way in the second table."""
        return sum(pair.has_same_sign for pair in self.found)

    @property
    def same(self) -> int:
        """How many are significant there too, with the same sign."""
        return sum(pair.verdict == "same" for pair in self.found)

    @property
    def opposite(self) -> int:
        """How many are significant there, with the opposite sign."""
        return sum(pair.verdict == "opposite" for pair in self.found)


def kept_pairs(first: "np.ndarray", second: "np.ndarray", pooled: bool) -> PairsKept:
    """Which differences of the first table the second one has.

    Args:
        first: Scores, (methods, training seeds).
        second: Scores of the same methods in another table, (methods, its training seeds).
        pooled: Whether one deviation stands for all rows, that of methods x seeds with its
            (M - 1)(T - 1) degrees of freedom, and not that of each pair with T - 1.
    """
    places = list(combinations(range(len(first)), 2))
    one, other = (_tests(scores, places, pooled) for scores in (first, second))
    pairs = [
        PairInBoth(at, found[0], again[0], found[1], again[1])
        for at, found, again in zip(places, one, other, strict=True)
    ]
    return PairsKept(tuple(pair for pair in pairs if pair.p_first <= _LEVEL), len(pairs))


def _tests(
    scores: "np.ndarray", places: list[tuple[int, int]], pooled: bool
) -> list[tuple[SeedMean, float]]:
    """Each difference, and its corrected p-value."""
    if pooled:
        found = pooled_pairs(scores, places, tuple(range(scores.shape[1])))
    else:
        rows = [dict(enumerate(map(float, row))) for row in scores]
        found = [difference_over_seeds(rows[left], rows[right]) for left, right in places]
    corrected = holm([1.0 if one.p is None else one.p for one in found])
    return list(zip(found, corrected, strict=True))


def _negative(found: SeedMean) -> SeedMean:
    low, high = (None if end is None else -end for end in (found.high, found.low))
    return SeedMean(-found.value, low, high, found.p, found.seeds)
