"""How the values of a method agree with what is known of the rows, for the log alone."""

import math
from collections.abc import Sequence

from kdbench.views.rollout import Rollout


def labels_of(rows: Sequence[Rollout], name: str) -> list[int] | None:
    """A column of the rows' examples, such as 1 where a response is wrong.

    Nothing is learned from it, so that it is no part of a run's identity.

    Args:
        rows: The responses.
        name: The column.

    Returns:
        The whole numbers of all rows; None if one has none.
    """
    values = [None if row.example is None else row.example.fields.get(name) for row in rows]
    numbers = [value for value in values if isinstance(value, int)]
    return numbers if numbers and len(numbers) == len(values) else None


def auc(scores: Sequence[float], positive: Sequence[bool]) -> float | None:
    """The chance that a positive one has a larger score than another one; None without both.

    Args:
        scores: One for each.
        positive: Which are positive. Equal scores count half.
    """
    count, others = sum(positive), len(positive) - sum(positive)
    if not count or not others:
        return None
    ordered = sorted(scores)
    places: dict[float, float] = {}
    for place, score in enumerate(ordered, start=1):
        places.setdefault(score, place)
    repeats = dict.fromkeys(places, 0)
    for score in ordered:
        repeats[score] += 1
    ranks = math.fsum(
        places[score] + (repeats[score] - 1) / 2
        for score, is_positive in zip(scores, positive, strict=True)
        if is_positive
    )
    return (ranks - count * (count + 1) / 2) / (count * others)


def correlation(some: Sequence[float], others: Sequence[float]) -> float | None:
    """Pearson's correlation; None if the values of one side are all equal."""
    n = len(some)
    if not n or min(some) == max(some) or min(others) == max(others):
        return None
    mean, other_mean = math.fsum(some) / n, math.fsum(others) / n
    products = math.fsum((a - mean) * (b - other_mean) for a, b in zip(some, others, strict=True))
    squares = math.fsum((a - mean) ** 2 for a in some)
    other_squares = math.fsum((b - other_mean) ** 2 for b in others)
    return products / math.sqrt(squares * other_squares)
