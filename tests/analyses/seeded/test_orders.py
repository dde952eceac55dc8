"""Differences that a second table has again, against t tests worked by hand."""

import numpy as np
import pytest
from scipy.stats import t, ttest_rel

from kdbench.analyses.seeded.orders import kept_pairs

FIRST = np.array([[1.0, 1.1, 1.2], [5.0, 5.2, 5.1], [9.1, 9.0, 9.3]])
SECOND = np.array([[5.0, 5.1, 5.2], [1.0, 1.2, 1.1], [9.1, 9.0, 5.3]])


def test_each_pair_by_its_own_seeds():
    found = kept_pairs(FIRST, SECOND, pooled=False)
    raw = [ttest_rel(FIRST[a], FIRST[b]).pvalue for a, b in ((0, 1), (0, 2), (1, 2))]
    assert found.total == 3
    assert [pair.places for pair in found.found] == [(0, 1), (0, 2), (1, 2)]
    ranked = sorted(raw)
    holm = {ranked[0]: 3 * ranked[0], ranked[1]: 2 * ranked[1], ranked[2]: ranked[2]}
    ends = np.maximum.accumulate([holm[p] for p in ranked])
    assert sorted(pair.p_first for pair in found.found) == pytest.approx(sorted(ends))
    assert [pair.verdict for pair in found.found] == [
        "opposite",
        "not significant",
        "not significant",
    ]
    assert (found.same_sign, found.same, found.opposite) == (2, 0, 1)


def test_one_deviation_for_all_rows():
    pair = kept_pairs(FIRST, FIRST, pooled=True).found[0]
    rest = FIRST - FIRST.mean(1, keepdims=True) - FIRST.mean(0) + FIRST.mean()
    error = np.sqrt((rest**2).sum() / 4 * 2 / 3)
    assert pair.first.value == pytest.approx(-4.0)
    assert pair.first.high == pytest.approx(-4.0 + t.ppf(0.975, 4) * error)
    largest = 3 * 2 * t.sf(abs(FIRST[2].mean() - FIRST[0].mean()) / error, 4)
    assert min(p.p_first for p in kept_pairs(FIRST, FIRST, True).found) == pytest.approx(largest)


def test_a_pair_turns_with_its_interval():
    pair = kept_pairs(FIRST, SECOND, pooled=True).found[0]
    turned = pair.turned()
    assert turned.places == (1, 0)
    assert (turned.first.low, turned.first.high) == (-pair.first.high, -pair.first.low)
    assert turned.verdict == pair.verdict
    assert turned.turned() == pair


def test_rows_without_noise_prove_no_more_than_the_sign_test():
    same = np.array([[0.1, 0.1], [0.1, 0.1], [0.7, 0.7]])
    assert kept_pairs(same, -same, pooled=True).found == ()  # p 1/2 of two seeds
    many = np.repeat(same[:, :1], 9, axis=1)  # p 1/256, three pairs
    for pooled in (False, True):
        found = kept_pairs(many, -many, pooled)
        assert [pair.places for pair in found.found] == [(0, 2), (1, 2)]
        assert found.found[0].p_first == pytest.approx(3 / 256)
        assert (found.same_sign, found.opposite) == (0, 2)
