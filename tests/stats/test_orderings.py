"""How far two orders of methods agree: numbers worked by hand, and tables of known orders."""

import numpy as np
import pytest
from scipy.stats import kendalltau

from kdbench.stats.orderings import order_agreement

SEEDS = np.array([[-1.0, 0.0, 1.0], [1.0, 0.0, -1.0], [0.0, 1.0, -1.0], [0.0, -1.0, 1.0]])
"""Deviations of four methods that sum to 0 by method and by seed."""


def table(means, noise=0.1, alike=(0.0, 5.0, -3.0)):
    return np.array(means, dtype=float)[:, None] + noise * SEEDS + np.array(alike)


def test_tau_and_reliability_by_hand():
    found = order_agreement(table([1, 2, 3, 4], 1), table([1, 2, 4, 3], 0.5))
    assert found.tau == pytest.approx((5 - 1) / 6)  # five pairs agree, one does not
    # Σ deviations² = 8, over (4 - 1)(3 - 1) degrees and 3 seeds; the variance of 1, 2, 3, 4 is 5/3
    assert found.reliability[0] == pytest.approx(1 - 8 / 6 / 3 / (5 / 3))
    assert found.reliability[1] == pytest.approx(1 - 0.25 * 8 / 6 / 3 / (5 / 3))
    assert found.p_unrelated == pytest.approx(kendalltau([1, 2, 3, 4], [1, 2, 4, 3]).pvalue)
    assert found.methods == 4


def test_what_a_seed_does_to_all_methods_changes_nothing():
    one = order_agreement(table([1, 2, 3, 4], 1), table([1, 3, 2, 5], 1))
    moved = order_agreement(table([1, 2, 3, 4], 1, (9.0, -4.0, 1.0)), table([1, 3, 2, 5], 1))
    assert moved.low == pytest.approx(one.low)
    assert moved.ceiling == pytest.approx(one.ceiling)
    assert moved.reliability == pytest.approx(one.reliability)


def test_without_noise_the_orders_are_those_that_are_seen():
    found = order_agreement(table([1, 2, 3, 4], 0), table([2, 1, 3, 4], 0))
    assert found.low == found.high == found.tau == pytest.approx(4 / 6)
    assert found.ceiling == 1.0
    assert found.p_same < 0.01


def test_ties_count_as_neither():
    assert order_agreement(table([1, 1, 2, 3]), table([1, 2, 3, 4])).tau == pytest.approx(5 / 6)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (SEEDS[:3], SEEDS[:3]),
        (SEEDS[:, :1], SEEDS),
        (SEEDS, SEEDS[:3]),
        (SEEDS, table([1, 2, 3, 4])),
    ],
    ids=["three methods", "one seed", "other methods", "equal means"],
)
def test_what_has_no_order_is_refused(first, second):
    with pytest.raises(ValueError, match=r"four methods|one mean"):
        order_agreement(first, second)


def made_tables(rng, correlation, reliability, methods=9, seeds=(5, 3)):
    """True means of two tables with a correlation, and their scores by seed."""
    one = rng.normal(size=methods)
    other = correlation * one + np.sqrt(1 - correlation**2) * rng.normal(size=methods)
    scores = []
    for means, count in zip((one, other), seeds, strict=True):
        deviation = np.sqrt((1 / reliability - 1) * count)
        noise = deviation * rng.normal(size=(methods, count)) + 2 * rng.normal(size=count)
        scores.append(means[:, None] + noise)
    return one, other, scores


@pytest.mark.parametrize("correlation", [0.0, 0.7, 1.0])
def test_the_interval_covers_the_true_tau(correlation):
    rng = np.random.default_rng(2)
    covered = different = 0
    for place in range(100):
        one, other, scores = made_tables(rng, correlation, 0.8)
        found = order_agreement(*scores, draws=300, seed=place)
        true = kendalltau(one, other).statistic
        covered += found.low - 1e-9 <= true <= found.high + 1e-9
        different += found.p_same <= 0.05
    assert covered >= 88  # 95 expected; below 88 in one of 500 series of such an interval
    if correlation == 1:
        assert different <= 10
    if correlation == 0:
        assert different >= 40


def test_one_order_in_two_noisy_tables_is_no_proof_of_one_order():
    """Seven methods whose tables happen to agree; their true orders need not."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(2, 7, 3))
    noise -= noise.mean(2, keepdims=True)  # the means are those given
    means = np.arange(7.0)[:, None]
    found = order_agreement(means + 2 * noise[0], means + 2 * noise[1])
    assert found.tau == found.high == 1.0
    assert found.ceiling_low < 0.7
    assert 0 < found.low < 0.9  # and not 1


def test_noise_lowers_the_ceiling():
    rng = np.random.default_rng(4)
    steady, noisy = (
        order_agreement(*made_tables(rng, 1.0, reliability)[2]).ceiling
        for reliability in (0.98, 0.4)
    )
    assert steady > 0.8
    assert noisy < 0.6
