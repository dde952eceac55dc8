"""Error bars: what they are, that they cover, and when there is none."""

import math
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_scores import ratio, skewed, summed

from kdbench.stats.estimates import (
    average,
    corpus_estimate,
    document_means,
    estimate,
    pooled_estimate,
)

_SCORES = st.one_of(st.none(), st.floats(0, 100))


def parts_of(*sets):
    """An estimate's fields for each set, given its scores by seed."""
    return [asdict(estimate(scores)) for scores in sets]


def test_the_value_is_the_mean_over_prompts_and_seeds():
    result = estimate({10: [1.0, 2.0, 6.0], 20: [3.0, 4.0, 8.0]})
    assert result.value == pytest.approx(4)
    assert result.per_seed == {"10": 3.0, "20": 5.0}
    assert result.n == 3


def test_the_deviation_over_seeds_divides_by_one_less():
    result = estimate({1: [1.0, 1.0], 2: [2.0, 2.0], 3: [6.0, 6.0]})
    assert result.seed_sd == pytest.approx(math.sqrt((4 + 1 + 9) / 2))


def test_seeds_are_averaged_before_prompts_are_compared():
    # Each prompt's mean is 5 whatever its seeds do, so nothing is left to vary.
    result = estimate({1: [0.0, 10.0, 4.0], 2: [10.0, 0.0, 6.0]})
    assert (result.ci_low, result.ci_high) == (5, 5)


def test_undefined_scores_are_left_out_of_n():
    result = estimate({1: [None, 2.0, 4.0, None], 2: [None, None, 6.0, 3.0]})
    assert document_means({1: [None, 2.0], 2: [None, 4.0]}) == [None, 3.0]
    assert result.value == pytest.approx((2 + 5 + 3) / 3)
    assert result.n == 3
    assert result.per_seed == {"1": 3.0, "2": 4.5}


def test_where_nothing_is_defined_there_is_no_number():
    result = estimate({1: [None, None]})
    assert asdict(result) == {
        **dict.fromkeys(("value", "ci_low", "ci_high", "seed_sd", "standard_error", "skewness")),
        "per_seed": {"1": None},
        "n": 0,
    }


def test_one_document_has_no_interval_and_one_seed_no_deviation():
    single = estimate({1: [3.0], 2: [5.0]})
    assert (single.value, single.ci_low, single.ci_high, single.n) == (4, None, None, 1)
    assert single.seed_sd is not None
    assert estimate({1: [3.0, 4.0]}).seed_sd is None
    assert estimate({1: [3.0, 4.0]}).ci_low is not None


def test_seeds_of_different_lengths_are_a_mistake():
    with pytest.raises(ValueError, match="zip"):
        estimate({1: [1.0, 2.0], 2: [1.0]})


@given(st.dictionaries(st.integers(0, 99), st.tuples(_SCORES, _SCORES, _SCORES), min_size=1))
def test_the_interval_lies_within_the_scale_and_around_the_value(scores):
    result = estimate(scores, "points")
    known = [mean for mean in document_means(scores) if mean is not None]
    assert result.n == len(known)
    assert (result.ci_low is None) == (result.n < 2) == (result.standard_error is None)
    if result.ci_low is not None:
        assert -1e-9 <= result.ci_low <= result.value + 1e-9
        assert result.value - 1e-9 <= result.ci_high <= 100 + 1e-9


def test_a_corpus_number_has_seeds_but_no_interval():
    result = corpus_estimate({10: 0.5, 20: 0.7}, n=9)
    assert result.value == pytest.approx(0.6)
    assert result.seed_sd == pytest.approx(0.2 / math.sqrt(2))
    assert (result.ci_low, result.ci_high, result.n) == (None, None, 9)
    assert corpus_estimate({10: None}, n=9).value is None


def test_the_average_is_the_plain_mean_whatever_the_sizes():
    small, large = {1: [1.004, 1.004]}, {1: [2.004] * 50}
    result = average(parts_of(small, large, large))
    assert result.value == pytest.approx((1.004 + 2.004 + 2.004) / 3, abs=1e-12)
    assert result.n == 102


@pytest.mark.parametrize("missing", [None, asdict(estimate({1: [None, None]}))])
def test_an_average_is_never_partial(missing):
    known = parts_of({1: [1.0, 2.0]})
    assert average([*known, missing]) is None
    assert average([missing, *known]) is None
    assert average([]) is None


def test_the_average_has_the_deviation_of_the_seeds_averages():
    first, second = {10: [1.0, 3.0], 20: [2.0, 4.0]}, {10: [10.0, 10.0], 20: [30.0, 30.0]}
    result = average(parts_of(first, second))
    assert result.per_seed == {"10": 6.0, "20": 16.5}
    assert result.seed_sd == pytest.approx(10.5 / math.sqrt(2))


def test_sets_of_different_seeds_have_an_average_without_deviation():
    result = average(parts_of({1: [1.0, 2.0], 2: [1.0, 3.0]}, {1: [4.0, 5.0]}))
    assert result.value == pytest.approx((1.75 + 4.5) / 2)
    assert (result.seed_sd, result.per_seed) == (None, {})


def test_a_seeds_average_is_never_partial_either():
    whole, holed = {1: [1.0, 1.0], 2: [3.0, 3.0]}, {1: [9.0, 9.0], 2: [None, None]}
    result = average(parts_of(whole, holed))
    assert result.per_seed["1"] == 5
    assert result.per_seed.get("2") is None
    assert result.seed_sd is None


def test_a_set_without_interval_leaves_the_average_without():
    result = average(parts_of({1: [1.0, 2.0]}, {1: [5.0]}))
    assert result.value == pytest.approx(3.25)
    assert (result.ci_low, result.ci_high) == (None, None)


def test_the_interval_of_the_average_is_that_of_a_joint_bootstrap():
    sets = [skewed(n, seed) for seed, n in enumerate((500, 242, 80, 300, 400))]
    result = average(parts_of(*({1: list(values)} for values in sets)))
    rng = np.random.default_rng(7)
    means = [values[rng.integers(0, len(values), (20_000, len(values)))].mean(1) for values in sets]
    low, high = np.quantile(np.mean(means, axis=0), [0.025, 0.975])
    assert (result.ci_low, result.ci_high) == pytest.approx((low, high), abs=0.05 * (high - low))
    assert result.ci_high - result.ci_low == pytest.approx(high - low, rel=0.05)


# Functions of sums


def test_a_ratio_of_sums_weighs_prompts_by_their_count():
    result = pooled_estimate({1: summed([1.0, 4.0], np.array([3.0, 1.0]))}, ratio)
    assert result.value == pytest.approx(7 / 4)
    assert (result.n, result.per_seed, result.seed_sd) == (2, {"1": 7 / 4}, None)
    # Without the first prompt 4, without the second 1: pseudo-values -0.5 and 2.5.
    assert result.standard_error == pytest.approx(1.5)
    half = 12.7062 * 1.5
    assert (result.ci_low, result.ci_high) == pytest.approx((1.75 - half, 1.75 + half), rel=1e-5)


def test_where_counts_are_equal_a_ratio_of_sums_is_the_mean():
    scores = {seed: list(skewed(40, seed)) for seed in (1, 2, 3)}
    plain = estimate(scores)
    for count in (1.0, 7.0):
        sums = {seed: summed(values, np.full(40, count)) for seed, values in scores.items()}
        pooled = pooled_estimate(sums, ratio)
        assert pooled.value == pytest.approx(plain.value)
        assert pooled.per_seed == pytest.approx(plain.per_seed)
        assert pooled.seed_sd == pytest.approx(plain.seed_sd)
        assert pooled.n == plain.n
        # Resampling, beside a formula.
        slack = 0.15 * (plain.ci_high - plain.ci_low)
        assert pooled.ci_low == pytest.approx(plain.ci_low, abs=slack)
        assert pooled.ci_high == pytest.approx(plain.ci_high, abs=slack)


def test_seeds_are_summed_before_prompts_are_resampled():
    # Each prompt's ratio is 5 whatever its seeds do, so nothing is left to resample.
    sums = {1: summed([0.0, 10.0, 4.0]), 2: summed([10.0, 0.0, 6.0])}
    result = pooled_estimate(sums, ratio)
    assert (result.ci_low, result.value, result.ci_high) == (5, 5, 5)
    assert result.per_seed == {"1": pytest.approx(14 / 3), "2": pytest.approx(16 / 3)}


def test_where_a_resample_is_undefined_there_is_no_interval():
    result = pooled_estimate({1: np.array([[3.0, 2.0], [1.0, 0.0], [2.0, 0.0]])}, ratio)
    assert result.value == 3.0
    assert (result.ci_low, result.ci_high, result.n) == (None, None, 3)


def test_where_the_whole_is_undefined_there_is_no_number():
    result = pooled_estimate({1: np.zeros((3, 2)), 2: np.zeros((3, 2))}, ratio)
    assert (result.value, result.ci_low, result.ci_high, result.seed_sd) == (None,) * 4
    assert (result.per_seed, result.n) == ({"1": None, "2": None}, 0)
    # One seed may be undefined where the whole is not.
    holed = pooled_estimate({1: summed([1.0, 2.0]), 2: np.zeros((2, 2))}, ratio)
    assert holed.per_seed == {"1": 1.5, "2": None}
    assert (holed.value, holed.seed_sd) == (1.5, None)


def test_one_prompt_has_no_pooled_interval():
    result = pooled_estimate({1: np.array([[3.0, 2.0], [0.0, 0.0]])}, ratio)
    assert (result.value, result.ci_low, result.n) == (1.5, None, 1)
    assert pooled_estimate({1: np.zeros((3, 2))}, ratio, n=3).n == 3
