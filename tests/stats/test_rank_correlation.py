"""Rank correlation over conditions: by hand, against scipy, and with clusters kept whole."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from kdbench.stats.rank_correlation import rank_correlation


def conditions(*rows: list[float], seeds: int = 3) -> np.ndarray:
    """Conditions with the same points in each repetition."""
    return np.repeat(np.array(rows, dtype=float)[:, None], seeds, axis=1)


def test_by_hand() -> None:
    # ranks 1 2 3 4 against 2 1 4 3: 1 - 6 · 4 / (4 · 15) = 0.6
    found = rank_correlation(conditions([1], [2], [3], [4]), conditions([5], [4], [9], [8]))
    assert found is not None
    assert found.value == pytest.approx(0.6)
    assert found.n == 4


def test_points_are_means_over_repetitions() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(6, 4, 5)), rng.normal(size=(6, 4, 5))
    found = rank_correlation(first, second, resamples=10)
    wanted = spearmanr(first.mean(1).ravel(), second.mean(1).ravel()).statistic
    assert found is not None
    assert found.value == pytest.approx(wanted)


def test_levels_of_tasks_do_not_correlate_within_tasks() -> None:
    # Two tasks: one easy, one hard. Within each, more of one is less of the other.
    first = conditions([1, 11], [2, 12], [3, 13])
    second = conditions([3, 13], [2, 12], [1, 11])
    across, within = (rank_correlation(first, second, w) for w in (False, True))
    assert across is not None
    assert within is not None
    assert across.value > 0 > within.value
    assert within.value == pytest.approx(-1)


def test_conditions_are_resampled_whole() -> None:
    # 100 points of five conditions know no more than five points.
    rng = np.random.default_rng(1)
    one = rng.normal(size=(5, 3, 1))
    other = one + rng.normal(size=(5, 3, 1))
    alone, copied = (
        rank_correlation(one, other),
        rank_correlation(np.repeat(one, 20, 2), np.repeat(other, 20, 2)),
    )
    assert alone is not None
    assert copied is not None
    assert copied.value == pytest.approx(alone.value)
    assert copied.high - copied.low == pytest.approx(alone.high - alone.low, abs=0.1)


def test_unrelated_numbers_are_not_told_from_zero_and_related_ones_are() -> None:
    rng = np.random.default_rng(2)
    one = rng.normal(size=(12, 3, 4))
    noise = rng.normal(size=one.shape)
    unrelated, related = rank_correlation(one, noise), rank_correlation(one, one + 0.1 * noise)
    assert unrelated is not None
    assert related is not None
    assert unrelated.direction == 0
    assert related.direction == 1
    assert rank_correlation(one, -one).direction == -1  # type: ignore[union-attr]


def test_few_conditions_have_no_interval_and_constants_no_correlation() -> None:
    two = conditions([1], [2])
    found = rank_correlation(two, two)
    assert found is not None
    assert (found.low, found.high, found.direction) == (None, None, 0)
    assert rank_correlation(two, conditions([1], [1])) is None


def test_three_conditions_in_one_order_show_nothing() -> None:
    three, four = conditions([1], [2], [3]), conditions([1], [2], [3], [4])
    perfect = rank_correlation(three, three), rank_correlation(four, four)
    assert [(of.value, of.direction) for of in perfect if of] == [(1, 0), (1, 1)]


@pytest.mark.parametrize("number", [4, 6])
def test_few_unrelated_conditions_are_rarely_told_to_correlate(number: int) -> None:
    rng, told = np.random.default_rng(3), 0
    for _ in range(200):
        first, second = (
            rng.normal(size=(number, 1, 1))
            + 0.3 * rng.normal(size=(number, 1, 5))
            + 0.3 * rng.normal(size=(number, 3, 5))
            for _ in range(2)
        )
        found = rank_correlation(first, second, within=True, resamples=300)
        assert found is not None
        told += found.direction != 0
    assert told / 200 <= 0.12
