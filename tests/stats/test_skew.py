"""The test that skewed differences do not mislead."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from kdbench.stats.paired import sign_flips
from kdbench.stats.skew import skew_test

numbers = st.floats(-50, 50).map(lambda number: round(number, 2))
samples = st.lists(numbers, min_size=2, max_size=60).map(np.array)


@given(samples)
def test_p_and_interval_agree(differences: np.ndarray) -> None:
    if np.ptp(differences) == 0:
        return
    test = skew_test([differences])
    low, high = test.interval(0.05)
    slack = 1e-6 * max(1.0, float(np.abs(differences).max()))
    assert low <= differences.mean() + slack
    assert differences.mean() - slack <= high
    for end, outward in ((low, -slack), (high, slack)):
        assert test.p(end - outward) >= 0.05 - 1e-3
        assert test.p(end + outward) <= 0.05 + 1e-3


@given(samples, numbers)
def test_swapping_the_runs_mirrors_all(differences: np.ndarray, shift: float) -> None:
    plain, swapped = skew_test([differences]), skew_test([-differences])
    if differences.mean() != shift:
        assert plain.p(shift) == swapped.p(-shift)
    low, high = plain.interval(0.05)
    assert swapped.interval(0.05) == (-high, -low)


def test_dense_symmetric_differences_have_students_test() -> None:
    half = np.abs(np.random.default_rng(0).normal(0, 1, 100))
    differences = np.concatenate([half, -half]) - 0.2
    wanted = stats.ttest_1samp(differences, 0).pvalue
    assert skew_test([differences]).p() == pytest.approx(wanted, rel=0.15)


def test_losses_alone_are_no_evidence_while_most_prompts_tie() -> None:
    """Eight small losses of 50: a large gain that the sample missed would outweigh them."""
    differences = np.array([-10.0] * 8 + [0.0] * 42)
    assert sign_flips(differences).p() < 0.02
    assert skew_test([differences]).p() > 0.05
    assert skew_test([np.array([-10.0] * 25 + [0.0] * 25)]).p() < 0.001


def test_no_unseen_difference_exceeds_the_scale() -> None:
    differences = np.array([-1.0] * 8 + [0.0] * 42)
    assert skew_test([differences], largest=1.0).p() < skew_test([differences]).p()


def test_few_or_equal_differences() -> None:
    assert skew_test([np.array([3.0])]).p() == 1
    assert skew_test([np.array([3.0])]).interval(0.05) == (-math.inf, math.inf)
    assert skew_test([np.full(9, 3.0)]).interval(0.05) == (3, 3)
    assert skew_test([np.zeros(9)]).p() == 1


def test_tasks_have_the_same_weight() -> None:
    rng = np.random.default_rng(0)
    few, many = rng.normal(1, 1, 30), rng.normal(3, 1, 300)
    low, high = skew_test([few, many]).interval(0.05)
    assert low < (few.mean() + many.mean()) / 2 < high
    error = math.hypot(few.std() / math.sqrt(30), many.std() / math.sqrt(300)) / 2
    assert (high - low) / (2 * 1.96 * error) == pytest.approx(1, abs=0.15)


def regressed(n: int, loss: float, trials: int = 600) -> tuple[float, float]:
    """Shares of samples with true mean -loss that both tests, and the flips alone, call lower."""
    rng = np.random.default_rng(n)
    flips = both = 0
    for _ in range(trials):
        differences = rng.choice([0.0, 40.0, -10.0], n, p=[0.85, 0.03, 0.12]) - loss
        if differences.mean() >= -loss:
            continue
        by_flips = sign_flips(differences, resamples=1000).p(-loss) <= 0.05
        flips += by_flips
        both += by_flips and skew_test([differences]).p(-loss) <= 0.05
    return both / trials, flips / trials


@pytest.mark.parametrize(("n", "loss"), [(50, 0.0), (80, 0.5), (242, 0.0)])
def test_sparse_lopsided_differences_rarely_look_like_a_loss(n: int, loss: float) -> None:
    both, flips = regressed(n, loss)
    assert both <= 0.025 + 2 * math.sqrt(0.025 * 0.975 / 600)
    assert flips > 0.03


def test_symmetric_differences_keep_their_power() -> None:
    rng = np.random.default_rng(1)
    flips = both = 0
    for _ in range(400):
        differences = rng.normal(-2.8 / math.sqrt(80), 1, 80)
        by_flips = sign_flips(differences, resamples=1000).p() <= 0.05
        flips += by_flips
        both += by_flips and skew_test([differences]).p() <= 0.05
    assert flips / 400 == pytest.approx(0.8, abs=0.06)
    assert both >= 0.96 * flips
