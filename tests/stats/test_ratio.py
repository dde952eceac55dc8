"""Ratios of means with Fieller's interval: by hand, by the test that it inverts, and coverage."""

import numpy as np
import pytest
from scipy import stats

from kdbench.stats.ratio import ratio_over_seeds


def by_seed(values):
    return dict(enumerate(values))


def test_a_ratio_by_hand():
    # Means 2 and 4; variances of the means 1/3 and 1/3, covariance 0; t² = 4.302653² = 18.512820.
    # a = 16 - 6.170940 = 9.829060, b = 8, c = 4 - 6.170940 = -2.170940
    # The root of b² - a c is 9.237873.
    found = ratio_over_seeds(by_seed([1, 2, 3]), by_seed([4.57735027, 2.84529946, 4.57735027]))
    assert found.value == pytest.approx(0.5)
    assert found.low == pytest.approx((8 - 9.237873) / 9.829060, abs=1e-5)
    assert found.high == pytest.approx((8 + 9.237873) / 9.829060, abs=1e-5)
    assert found.seeds == (0, 1, 2)


def test_the_ends_are_where_the_t_test_turns():
    above, below = np.array([3.0, 4.0, 2.5, 3.2]), np.array([5.0, 6.5, 5.5, 4.8])
    found = ratio_over_seeds(by_seed(above), by_seed(below))
    for end in (found.low, found.high):
        assert stats.ttest_1samp(above - end * below, 0).pvalue == pytest.approx(0.05, abs=1e-9)


def test_a_denominator_that_may_be_zero_gives_no_ratio():
    assert ratio_over_seeds(by_seed([1, 2, 3]), by_seed([1, -1, 0.5])) is None
    assert ratio_over_seeds(by_seed([1, 2, 3]), by_seed([-5, -5.1, -4.9])) is None
    assert ratio_over_seeds({1: 1.0}, {1: 2.0}) is None
    assert ratio_over_seeds({1: 1.0, 2: 1.0}, {2: 1.0, 3: 1.0}) is None


def test_only_shared_seeds_count():
    found = ratio_over_seeds({1: 1, 2: 2, 3: 3}, {3: 5.1, 2: 4.9, 9: 100})
    assert found.seeds == (2, 3)
    assert found.value == pytest.approx(2.5 / 5)


def test_a_constant_ratio_has_no_width():
    found = ratio_over_seeds(by_seed([2, 3, 4]), by_seed([4, 6, 8]))
    assert (found.low, found.value, found.high) == pytest.approx((0.5, 0.5, 0.5))


def test_the_interval_covers_the_ratio():
    rng, hits, known = np.random.default_rng(1), 0, 0
    for _ in range(1500):
        shared = rng.normal(size=5)
        below = 4 + shared + 0.5 * rng.normal(size=5)
        above = 1.6 + 0.8 * shared + 0.5 * rng.normal(size=5)
        found = ratio_over_seeds(by_seed(above), by_seed(below))
        if found is not None:
            known += 1
            hits += found.low <= 0.4 <= found.high
    assert known > 1400
    assert 0.935 <= hits / known <= 0.965
