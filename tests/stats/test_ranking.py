"""How much of a ranking is noise: values by hand, and known variances found again."""

import numpy as np
import pytest
from scipy import stats

from kdbench.stats.ranking import (
    agreement,
    detectable_gap,
    flip_probability,
    flips_seen,
    ranking_noise,
    seeds_to_separate,
)


def simulated(rng, methods, seeds, of_methods=1.0, of_seeds=0.5, rest=1.0):
    return (
        of_methods * rng.normal(size=(methods, 1))
        + of_seeds * rng.normal(size=(1, seeds))
        + rest * rng.normal(size=(methods, seeds))
    )


def test_mean_squares_by_hand():
    # Means of methods 2 and 5, of seeds 2.5 and 4.5, of all 3.5; what is left is ±.5.
    found = ranking_noise(np.array([[1.5, 2.5], [3.5, 6.5]]))
    # MS_methods 2 (1.5² + 1.5²) = 9, MS_seeds 2 (1² + 1²) = 4, MS_rest 4 · .5² = 1
    assert found.methods == pytest.approx(2.0)
    assert found.seeds == pytest.approx(1.5**0.5)
    assert found.rest == pytest.approx(1.0)
    assert found.training == pytest.approx(1.0)
    assert found.chance is None
    assert found.share == pytest.approx(8 / 10)
    assert found.p == pytest.approx(float(stats.f.sf(9, 1, 1)))
    # With one degree of freedom, F quantiles are squares of those of t: 647.789.
    low, high = found.share_interval
    assert low == 0
    assert high == pytest.approx((9 * 647.789 - 1) / (9 * 647.789 + 1), abs=1e-6)


def test_known_variances_are_found_again():
    scores = simulated(np.random.default_rng(1), 300, 200, 2.0, 3.0, 1.5)
    found = ranking_noise(scores)
    assert found.methods == pytest.approx(2.0, rel=0.1)
    assert found.seeds == pytest.approx(3.0, rel=0.15)
    assert found.rest == pytest.approx(1.5, rel=0.02)
    assert found.share == pytest.approx(4 / (4 + 2.25), rel=0.06)


def test_the_chance_in_responses_is_told_from_the_training():
    rng = np.random.default_rng(2)
    methods, seeds, prompts = 40, 30, 50
    tasks = [
        simulated(rng, methods, seeds, rest=0.4)[:, :, None]
        + 3.0 * rng.normal(size=(1, 1, prompts))
        + 1.0 * rng.normal(size=(methods, 1, prompts))
        + 2.0 * rng.normal(size=(methods, seeds, prompts))
        for _ in range(2)
    ]
    found = ranking_noise(np.mean([task.mean(axis=2) for task in tasks], axis=0), tasks)
    # Two tasks halve each variance.
    assert found.chance == pytest.approx((2.0**2 / prompts / 2) ** 0.5, rel=0.05)
    assert found.training == pytest.approx((0.4**2 / 2) ** 0.5, rel=0.1)
    assert found.prompts == pytest.approx((1.0**2 / prompts / 2) ** 0.5, rel=0.1)


def test_the_intervals_cover_known_values():
    rng = np.random.default_rng(3)
    share = covered = 0
    repetitions = 400
    for _ in range(repetitions):
        found = ranking_noise(simulated(rng, 6, 5, 0.8, 2.0, 1.0))
        share += found.share_interval[0] <= 0.64 / 1.64 <= found.share_interval[1]
        covered += found.rest_interval[0] <= 1.0 <= found.rest_interval[1]
    assert 0.92 <= share / repetitions <= 0.98
    assert 0.92 <= covered / repetitions <= 0.98


def test_equal_methods_are_found_different_in_one_of_twenty():
    rng = np.random.default_rng(4)
    p = [ranking_noise(simulated(rng, 5, 5, 0.0)).p for _ in range(400)]
    assert 0.02 <= np.mean(np.array(p) < 0.05) <= 0.08


def test_the_probability_of_a_flip_is_that_of_a_new_seed():
    rng = np.random.default_rng(5)
    said, seen = [], []
    for _ in range(2000):
        truth = 3.0 * rng.normal(size=(4, 1))
        scores, new = truth + rng.normal(size=(4, 5)), truth[:, 0] + rng.normal(size=4)
        gap, found = scores[0].mean() - scores[1].mean(), ranking_noise(scores)
        said.append(flip_probability(gap, found.rest, 5, found.freedom))
        seen.append(gap * (new[0] - new[1]) < 0)
    assert np.mean(seen) == pytest.approx(np.mean(said), abs=0.02)
    assert flip_probability(0, 1, 5, 12) == pytest.approx(0.5)
    # t = 2 / (√2 √1.2) = 1.2910 with 12 degrees of freedom
    assert flip_probability(2, 1, 5, 12) == pytest.approx(float(stats.t.sf(1.290994, 12)), abs=1e-6)
    assert flip_probability(-2, 1, 5, 12) == flip_probability(2, 1, 5, 12)
    assert flip_probability(1, 0, 5, 12) == 0
    assert flip_probability(0, 0, 5, 12) == 0.5


def test_flips_are_counted_against_the_other_seeds():
    # Differences 1, 2, -1; the means of the others are .5, 0, 1.5.
    assert flips_seen(np.array([1.0, 2.0, 0.0]), np.array([0.0, 0.0, 1.0])) == 1
    assert flips_seen(np.array([1.0, 1.0]), np.array([0.0, 0.0])) == 0


def test_agreement_leaves_the_seed_out():
    scores = np.array([[1.0, 3.0], [2.0, 2.0], [3.0, 1.0]])
    assert agreement(scores) == pytest.approx([-1, -1])
    assert agreement(np.array([[1.0, 1.5], [2.0, 2.5], [3.0, 4.0]])) == pytest.approx([1, 1])
    noise = np.random.default_rng(6).normal(size=(400, 3))
    assert abs(agreement(noise).mean()) < 0.1


def test_equal_scores_rank_nothing():
    found = ranking_noise(np.full((3, 4), 0.5))
    assert (found.share, found.share_interval, found.p) == (0, (0, 0), 1)
    tied_once = np.array([[1.0, 1.0, 0.0], [1.0, 2.0, 3.0]])
    assert agreement(tied_once) == pytest.approx([0, 1, 1])


def test_seeds_that_separate_two_methods():
    # A difference of one deviation: 10 pairs (Cohen 1988: power .80 at d = 1).
    needed = seeds_to_separate(2**0.5, 1.0)
    assert needed == 10
    assert detectable_gap(1.0, 10) <= 2**0.5 < detectable_gap(1.0, 9)
    assert seeds_to_separate(-(2**0.5), 1.0) == needed
    assert seeds_to_separate(0.0, 1.0) is None
    assert seeds_to_separate(1e-6, 1.0) is None
    rng = np.random.default_rng(7)
    draws = 2**0.5 + 2**0.5 * rng.normal(size=(4000, needed))
    p = stats.ttest_1samp(draws, 0, axis=1).pvalue
    assert np.mean(p < 0.05) == pytest.approx(0.80, abs=0.03)


def test_a_ranking_needs_two_methods_and_two_seeds():
    for shape in ((1, 5), (5, 1)):
        with pytest.raises(ValueError, match="two methods and two training seeds"):
            ranking_noise(np.zeros(shape))
