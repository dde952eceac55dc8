"""Bootstrap intervals: against scipy, their coverage, and the cases without an interval."""

import math

import numpy as np
import pytest
from made_scores import has_the_spread_of_a_mean, ratio, skewed, summed
from scipy import stats

from kdbench.stats.bootstrap import RESAMPLES, average_interval, pooled_interval


def mean_interval(values, task="t"):
    return average_interval({task: values}, 0.05)


def test_the_interval_is_the_percentile_bootstrap_of_scipy():
    values = skewed(60)
    ours = mean_interval(values)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=RESAMPLES, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    # A 2.5 % quantile of 10,000 draws is off by about 0.027 standard errors; four of that, twice.
    slack = 0.15 * values.std() / math.sqrt(len(values))
    assert ours == pytest.approx(tuple(theirs), abs=slack)
    assert ours[0] < values.mean() < ours[1]


def test_a_long_set_is_resampled_in_chunks_with_the_same_spread():
    values = np.arange(1000.0)
    assert has_the_spread_of_a_mean(mean_interval(values), values)


def test_the_interval_covers_the_true_mean_at_its_level():
    trials, rng = 300, np.random.default_rng(0)
    hits = 0
    for _ in range(trials):
        low, high = mean_interval(rng.normal(20, 8, 40))
        hits += low <= 20 <= high
    # At n = 40 the percentile interval is short by a hair: it covers 0.94.
    assert abs(hits / trials - 0.945) < 3 * math.sqrt(0.945 * 0.055 / trials)


def test_equal_scores_give_an_equal_interval():
    assert mean_interval(skewed(50)) == mean_interval(skewed(50))
    assert mean_interval(skewed(50)) != mean_interval(skewed(50), task="u")


def test_the_order_of_documents_matters_no_more_than_chance():
    values = skewed(80)
    forward, backward = mean_interval(values), mean_interval(values[::-1])
    assert forward == pytest.approx(backward, abs=0.15 * values.std() / math.sqrt(len(values)))


def test_the_hierarchical_bootstrap_is_wider_by_the_noise_of_seeds() -> None:
    rng = np.random.default_rng(0)
    nested = rng.normal(0, 1, (300, 1)) + rng.normal(0, 2, (300, 4))
    plain = average_interval({"t": nested.mean(axis=1)}, 0.05)
    wide = average_interval({"t": nested}, 0.05)
    # Variances: 1 + 4/4 over prompts, and 4/4 × 3/4 again for the seeds drawn anew.
    assert (wide[1] - wide[0]) / (plain[1] - plain[0]) == pytest.approx((2.75 / 2) ** 0.5, abs=0.05)


@pytest.mark.parametrize("n", [2, 3, 80, 1700])
def test_the_pooled_interval_of_a_mean_is_the_interval_of_the_mean(n):
    values = skewed(n)
    expected = mean_interval(values)
    slack = 0.15 * values.std() / math.sqrt(n)
    assert pooled_interval(summed(values), ratio) == pytest.approx(expected, abs=slack)


def test_the_pooled_interval_of_a_ratio_is_that_of_scipy():
    rng = np.random.default_rng(3)
    counts = rng.integers(1, 30, 60).astype(float)
    sums = summed(skewed(60), counts)
    theirs = stats.bootstrap(
        (sums[:, 0], sums[:, 1]),
        lambda a, b, axis: a.sum(axis=axis) / b.sum(axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    low, high = pooled_interval(sums, ratio)
    slack = 0.05 * (theirs.high - theirs.low)
    assert (low, high) == pytest.approx(tuple(theirs), abs=slack)


def test_several_intervals_at_once_equal_those_computed_alone():
    columns = np.random.default_rng(0).uniform(1, 2, (30, 6))

    def ratios(sums):
        return sums[..., :3] / sums[..., 3:]

    low, high = pooled_interval(columns, ratios)
    assert low.shape == high.shape == (3,)
    for place in range(3):
        alone = pooled_interval(columns[:, [place, place + 3]], ratio)
        assert (low[place], high[place]) == pytest.approx(alone)


def test_an_undefined_interval_does_not_spoil_the_others():
    columns = np.array([[1.0, 1.0, 1.0, 1.0], [2.0, 2.0, 1.0, 0.0], [3.0, 0.0, 1.0, 0.0]])

    def ratios(sums):
        return sums[..., :2] / np.where(sums[..., 2:] == 0, np.nan, sums[..., 2:])

    low, high = pooled_interval(columns, ratios)
    assert np.isfinite([low[0], high[0]]).all()
    assert not np.isfinite([low[1], high[1]]).any()


def test_equal_sums_give_an_equal_pooled_interval():
    sums = summed(skewed(50))
    assert pooled_interval(sums, ratio) == pooled_interval(sums.copy(), ratio)


def test_a_long_set_of_sums_is_resampled_in_chunks_with_the_same_spread():
    values = np.arange(1700.0)
    assert has_the_spread_of_a_mean(pooled_interval(summed(values), ratio), values)
