"""Judgements of pairs, each asked in both orders, become metrics.

A response wins if it is preferred in both orders, and loses if the other one is; all else is a tie,
as in MT-Bench (Zheng et al. 2023). The win rate counts the mean preference of both orders.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from kdbench.judging.grades import Numbers, ScoreColumn
from kdbench.judging.judgements import Judgement
from kdbench.stats.estimates import pooled_estimate

_EQUAL = Judgement("", "pair", 1, "scored", (0.5,))
"""What counts for equal responses, about which the judge is not asked."""


def add_preferences(
    numbers: Numbers,
    given: Mapping[int, Sequence[Judgement | None]],
    swapped: Mapping[int, Sequence[Judgement | None]],
    words: Mapping[int, np.ndarray],
) -> None:
    """Add the metrics of compared responses.

    Args:
        numbers: Where the metrics go.
        given: Judgements in which the judged response is shown first, by seed and in document
            order; None where both responses are equal.
        swapped: The same pairs in the other order.
        words: Words of the judged response and of the other, by seed, shape (documents, 2).
    """
    both = {seed: list(zip(row, swapped[seed], strict=True)) for seed, row in given.items()}
    preferences = {seed: [_preference(*pair) for pair in row] for seed, row in both.items()}
    numbers.add_mean("win_rate", preferences)
    numbers.add_mean("wins", _shares(preferences, (1.0,)))
    numbers.add_mean("ties", _shares(preferences, (0.25, 0.5, 0.75)))
    numbers.add_mean("losses", _shares(preferences, (0.0,)))
    flips = {seed: [_flip(*pair) for pair in row] for seed, row in both.items()}
    numbers.add_mean("judge_flips", flips)
    length = pooled_estimate(words, _ratio, n=len(next(iter(words.values()))))
    numbers.add("words_ratio", length, reason="the other responses are empty")
    numbers.add_shares_without(both)


def _preference(given: Judgement | None, swapped: Judgement | None) -> float | None:
    """The mean preference of both orders: 1 for the judged response, 0 for the other."""
    given, swapped = given or _EQUAL, swapped or _EQUAL
    if given.scores is None or swapped.scores is None:
        return None
    return (given.scores[0] + 1 - swapped.scores[0]) / 2


def _flip(given: Judgement | None, swapped: Judgement | None) -> float | None:
    """Whether the order changes the verdict; None for equal or unread pairs."""
    if given is None or swapped is None or given.scores is None or swapped.scores is None:
        return None
    return float(given.scores[0] != 1 - swapped.scores[0])


def _shares(
    preferences: Mapping[int, ScoreColumn], values: Sequence[float]
) -> dict[int, ScoreColumn]:
    """Whether each preference is one of some values."""
    return {
        seed: [None if value is None else float(value in values) for value in row]
        for seed, row in preferences.items()
    }


def _ratio(sums: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio: np.ndarray = sums[..., 0] / sums[..., 1]
    return ratio
