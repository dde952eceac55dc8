"""Intervals of means: against other ways to compute them, and how often they cover the truth."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from kdbench.stats.mean import Moments, mean_moments, moments, scale_of

RATE = (0.0, 1.0)


def mean_interval(values, scale=None):
    return moments(values, scale).interval(scale)


def halls_by_search(values):
    """Hall's interval from its definition: the means whose transformed t is a quantile of t's."""
    n, error = len(values), stats.sem(values)
    a = stats.skew(values) / math.sqrt(n) / 3

    def transformed(mean):
        t = (values.mean() - mean) / error
        return t + a * t**2 + a**2 * t**3 / 3 + a / 2

    quantile = stats.t.ppf(0.975, n - 1)
    far = 1e4 * error
    return tuple(
        optimize.brentq(
            lambda mean, q=q: transformed(mean) - q, values.mean() - far, values.mean() + far
        )
        for q in (quantile, -quantile)
    )


@pytest.mark.parametrize("n", [2, 5, 40, 400])
def test_without_a_scale_it_is_halls_interval(n):
    values = np.random.default_rng(n).exponential(3, n)
    assert mean_interval(values) == pytest.approx(halls_by_search(values), rel=1e-6)


def test_symmetric_scores_have_students_interval():
    values = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    expected = stats.t.interval(0.95, 4, values.mean(), stats.sem(values))
    assert mean_interval(values) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("right", "n"), [(0, 20), (1, 50), (3, 10), (50, 50), (7, 80)])
def test_a_rate_reaches_as_far_as_wilsons_interval(right, n):
    values = np.array([1.0] * right + [0.0] * (n - right))
    level = 2 * stats.norm.cdf(stats.t.ppf(0.975, n - 1)) - 1
    wilson = stats.binomtest(right, n).proportion_ci(level, method="wilson")
    low, high = mean_interval(values, RATE)
    if 0 < right < n:
        halls = halls_by_search(values)
        wilson_low, wilson_high = min(wilson.low, halls[0]), max(wilson.high, halls[1])
    else:
        wilson_low, wilson_high = wilson.low, wilson.high
    assert low == pytest.approx(max(0, wilson_low), rel=1e-6, abs=1e-12) or low < wilson_low
    assert high == pytest.approx(min(1, wilson_high), rel=1e-6) or high > wilson_high
    assert 0 <= low <= right / n <= high <= 1


def test_an_event_that_did_not_occur_may_still_be_possible():
    low, high = mean_interval(np.zeros(80), RATE)
    assert low == 0
    assert 3 / 80 < high < 7 / 80  # "rule of three", and Wilson's
    assert mean_interval(np.full(80, 100.0), (0, 100))[0] == pytest.approx(100 * (1 - high))


def test_equal_scores_inside_the_scale_have_an_interval_of_no_width():
    assert mean_interval(np.full(9, 0.3), RATE) == pytest.approx((0.3, 0.3))
    assert mean_interval(np.zeros(9)) == (0, 0)


@given(
    st.lists(st.floats(0, 100), min_size=2, max_size=30),
    st.floats(-1e3, 1e3),
    st.floats(1e-3, 1e3),
)
def test_shift_and_unit_do_not_matter(scores, shift, unit):
    values = np.array(scores)
    low, high = mean_interval(values)
    moved = mean_interval(values * unit + shift)
    slack = 1e-6 * (1 + abs(shift) + unit * (100 + high - low))
    assert moved == pytest.approx((low * unit + shift, high * unit + shift), abs=slack)


@given(st.lists(st.floats(0, 100), min_size=2, max_size=30))
def test_the_interval_is_around_the_mean_and_within_the_scale_and_turns_with_it(scores):
    values = np.array(scores)
    low, high = mean_interval(values, (0, 100))
    assert -1e-9 <= low <= values.mean() + 1e-9
    assert values.mean() - 1e-9 <= high <= 100 + 1e-9
    turned = mean_interval(100 - values, (0, 100))
    assert turned == pytest.approx((100 - high, 100 - low), abs=1e-5)


def test_a_unit_has_a_scale_if_its_scores_lie_on_it():
    assert scale_of("rate", np.array([0.2, 1.0])) == (0, 1)
    assert scale_of("points", np.array([0.2, 99.0])) == (0, 100)
    assert scale_of("rate", np.array([-0.2, 1.0])) is None  # a difference of rates
    assert scale_of("nats", np.array([0.2])) is None
    assert scale_of("task's own", np.array([0.0, 1.0])) == (0, 1)
    assert scale_of("task's own", np.array([0.0, 0.5])) is None
    assert scale_of("rate", np.array([])) is None


def test_the_moments_of_tasks_add_up():
    rng = np.random.default_rng(0)
    tasks = [rng.exponential(3, n) for n in (20, 30, 50)]
    joint = mean_moments([moments(task) for task in tasks])
    variances = [task.var(ddof=1) / len(task) for task in tasks]
    assert joint.mean == pytest.approx(np.mean([task.mean() for task in tasks]))
    assert joint.error == pytest.approx(math.sqrt(sum(variances)) / 3)
    freedom = sum(variances) ** 2 / sum(
        v**2 / (len(t) - 1) for v, t in zip(variances, tasks, strict=True)
    )
    assert joint.freedom == pytest.approx(freedom)
    thirds = [stats.moment(t, 3) / len(t) ** 2 * (len(t) / (len(t) - 1)) ** 1.5 for t in tasks]
    assert joint.skewness == pytest.approx(sum(thirds) / sum(variances) ** 1.5)


def test_the_mean_of_one_task_is_that_task():
    alone = moments(np.random.default_rng(1).exponential(3, 20))
    joint = mean_moments([alone])
    assert vars(joint) == pytest.approx(vars(alone))
    assert mean_moments([Moments(1.0, 0.0, 0.0, 4)] * 2) == Moments(1.0, 0.0, 0.0, 4)


@pytest.mark.parametrize(
    ("draw", "truth", "scale", "least"),
    [
        (lambda rng, n: rng.normal(20, 8, n), 20.0, None, 0.94),
        (
            lambda rng, n: 100 * rng.beta(1.2, 3.5, n) * (rng.random(n) > 0.2),
            96 / 4.7,
            (0, 100),
            0.94,
        ),
        (lambda rng, n: rng.lognormal(0, 1, n), math.exp(0.5), None, 0.90),
        (lambda rng, n: 1.0 * (rng.random(n) < 0.02), 0.02, RATE, 0.95),
        (lambda rng, n: rng.binomial(5, rng.beta(0.05, 2.45, n)) / 5, 0.02, RATE, 0.93),
    ],
    ids=["normal", "responses", "skewed", "rare", "rare with seeds"],
)
def test_it_covers_the_truth_as_often_as_it_says(draw, truth, scale, least):
    trials, rng = 600, np.random.default_rng(0)
    for n in (20, 80):
        alone = joint = 0
        for _ in range(trials):
            tasks = [moments(draw(rng, n), scale) for _ in range(3)]
            low, high = tasks[0].interval(scale)
            alone += low <= truth <= high
            low, high = mean_moments(tasks).interval(scale)
            joint += low <= truth <= high
        error = 3 * math.sqrt(0.05 * 0.95 / trials)
        assert alone / trials > least - error
        assert joint / trials > least - error
