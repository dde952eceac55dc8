"""A recipe's mean and its variances: against other ways to compute them, and their coverage."""

import math

import numpy as np
import pytest
from scipy import stats

from kdbench.stats.mean import moments
from kdbench.stats.variances import variances


def draw(rng, shape, training, prompts=12.0, rest=6.0, sampling=8.0):
    """Scores of training seeds × sampling seeds × prompts whose true mean is 20."""
    trained, sampled, n = shape
    scores = 20 + rng.normal(0, training, (trained, 1, 1)) + rng.normal(0, prompts, (1, 1, n))
    scores = scores + rng.normal(0, rest, (trained, 1, n))
    return scores + rng.normal(0, sampling, (trained, sampled, n))


def test_the_estimates_find_the_deviations_that_made_the_scores():
    rng = np.random.default_rng(0)
    found = [variances([draw(rng, (6, 4, 300), training=2.0)]) for _ in range(150)]
    squares = {
        name: np.mean([getattr(one, name) ** 2 for one in found])
        for name in ("training", "prompts", "sampling")
    }
    # What a student's prompts share beyond its mean, 6² + 8² / 4 over 300 prompts, is no part.
    assert math.sqrt(squares["training"]) == pytest.approx(2.0, rel=0.08)
    assert math.sqrt(squares["prompts"]) == pytest.approx(12.0 / math.sqrt(300), rel=0.03)
    assert math.sqrt(squares["sampling"]) == pytest.approx(8.0 / math.sqrt(300), rel=0.05)


def test_the_mean_squares_are_those_of_a_paired_t_test_for_two_students():
    scores = draw(np.random.default_rng(1), (2, 1, 40), training=1.0)
    first, second = scores[:, 0]
    t = stats.ttest_rel(first, second).statistic
    found = variances([scores])
    # F of two students is the square of t, MS_training / MS_rest.
    rest = np.var(first - second, ddof=1) / 2
    training = max(0.0, t**2 * rest - rest) / 40
    assert found.training == pytest.approx(math.sqrt(training))
    assert found.moments.mean == pytest.approx(scores.mean())


def test_equal_students_have_the_error_of_their_prompts():
    prompts = np.random.default_rng(2).exponential(5, 30)
    found = variances([np.broadcast_to(prompts, (3, 2, 30))])
    assert (found.training, found.sampling) == pytest.approx((0, 0), abs=1e-12)
    assert found.prompts == pytest.approx(stats.sem(prompts))
    assert found.moments.error == pytest.approx(stats.sem(prompts))
    assert found.moments.freedom == pytest.approx(29)
    assert found.moments.skewness == pytest.approx(moments(prompts).skewness, rel=0.06)


def test_one_sampling_seed_says_nothing_of_sampling():
    assert variances([draw(np.random.default_rng(3), (3, 1, 20), 1.0)]).sampling is None


def test_equal_scores_have_no_error():
    found = variances([np.full((3, 2, 5), 7.0)])
    assert found.moments.interval() == (7, 7)


def test_a_good_student_is_good_at_all_tasks():
    """The error of an average over tasks does not shrink with their number if students differ."""
    rng = np.random.default_rng(5)
    students = np.array([-2.0, 0.0, 2.0])[:, None, None]
    tasks = [students + draw(rng, (3, 1, 200), 0.0, 1.0, 0.1, 0.1) for _ in range(5)]
    found = variances(tasks)
    assert found.training == pytest.approx(2.0, rel=0.05)
    assert found.moments.error == pytest.approx(2.0 / math.sqrt(3), rel=0.05)


@pytest.mark.parametrize(("trained", "least"), [(3, 0.91), (5, 0.935)])
@pytest.mark.parametrize("training", [0.0, 0.3, 1.0])
def test_the_interval_covers_the_recipes_mean(trained, least, training):
    trials, rng = 500, np.random.default_rng(4)
    alone = joint = 0
    for _ in range(trials):
        shared = rng.normal(0, training, (trained, 1, 1))
        tasks = [shared + draw(rng, (trained, 1, n), 0.0) for n in (400, 100)]
        low, high = variances(tasks[:1]).moments.interval()
        alone += low <= 20 <= high
        low, high = variances(tasks).moments.interval()
        joint += low <= 20 <= high
    assert min(alone, joint) / trials > least - 3 * math.sqrt(0.05 * 0.95 / trials)


@pytest.mark.parametrize("training", [0.0, 0.4, 1.3])
@pytest.mark.parametrize("trained", [2, 3])
def test_equal_recipes_are_rarely_told_apart(trained, training):
    """Also where trainings vary more than the error over prompts, which is 0.4."""
    trials, rng = 800, np.random.default_rng(5)
    found = 0
    for _ in range(trials):
        scores = rng.normal(0, training, (trained, 1, 1)) + rng.normal(0, 3, (1, 1, 50))
        found += variances([scores + rng.normal(0, 3, (trained, 1, 50))]).test.p_value() <= 0.05
    assert found / trials <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / trials)


def test_the_test_is_the_more_doubtful_of_two():
    scores = np.random.default_rng(6).normal(1, 1, (3, 1, 40)) + np.arange(3)[:, None, None]
    test = variances([scores]).test
    averages = scores.mean(axis=(1, 2))
    expected = stats.ttest_1samp(averages, 0)
    assert test.averages.p_value() == pytest.approx(expected.pvalue)
    assert test.p_value() >= expected.pvalue
    low, high = test.interval(0.05)
    inner = expected.confidence_interval()
    assert low <= inner.low < inner.high <= high
    assert test.p_value(low) == pytest.approx(0.05)


def test_the_interval_of_few_trainings_that_vary_is_the_wide_one_on_the_scale():
    """Over prompts alone it would be far too short; the ends of the scale hold it."""
    trainings = np.array([20.0, 50.0])[:, None, None]
    scores = trainings + np.random.default_rng(7).normal(0, 3, (2, 1, 40))
    test = variances([scores]).test
    inner = stats.ttest_1samp(scores.mean(axis=(1, 2)), 0).confidence_interval()
    low, high = test.shown_interval()
    assert low <= inner.low < inner.high <= high
    assert test.shown_interval((0.0, 100.0)) == (0.0, 100.0)


def test_the_interval_of_a_rare_rate_reaches_as_far_as_each_of_its_parts():
    scores = np.zeros((3, 1, 40))
    scores[0, 0, 0] = 1.0
    test = variances([scores]).test
    low, high = test.shown_interval((0.0, 1.0))
    assert low == 0.0
    assert high >= max(test.moments.interval((0.0, 1.0))[1], test.interval(0.05)[1])
