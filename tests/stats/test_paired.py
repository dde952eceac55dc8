"""The paired statistics, against enumeration, naive code and scipy."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from kdbench.stats import paired
from kdbench.stats.bootstrap import average_interval
from kdbench.stats.exact import EXACT, exact_p_values

numbers = st.floats(-100, 100).map(lambda x: round(x, 2))
small = st.lists(numbers, min_size=1, max_size=12).map(np.array)


def brute_force(differences: np.ndarray, weights: np.ndarray, shift: float = 0.0) -> float:
    """The share of all sign flips whose weighted mean is as far out as the observed one."""
    moved = differences - shift
    seen = abs(moved @ weights)
    slack = 1e-9 * max(1e-12, np.abs(differences).max())
    flips = itertools.product((1, -1), repeat=len(differences))
    means = np.array([abs((moved * flip) @ weights) for flip in flips])
    return float((means >= seen - slack).mean())


def even(n: int) -> np.ndarray:
    return np.full(n, 1 / n)


@given(small)
def test_exact_p_equals_enumeration(differences: np.ndarray) -> None:
    flips = paired.sign_flips(differences)
    assert flips.p() == pytest.approx(brute_force(differences, even(len(differences))))


@given(small, st.floats(-50, 50))
def test_a_shifted_null_equals_enumeration(differences: np.ndarray, shift: float) -> None:
    # Shifts at which a flip exactly equals the observed mean are decided by rounding.
    shift = round(shift, 2) + 0.00312345
    flips = paired.sign_flips(differences)
    if flips.scale == 0:
        return
    wanted = brute_force(differences, even(len(differences)), shift)
    assert flips.p(shift) == pytest.approx(wanted)


@given(small, small)
def test_the_joint_flips_of_two_tasks_equal_enumeration(a: np.ndarray, b: np.ndarray) -> None:
    a, b = a[:5], b[:5]
    drawn = {"a": paired.sign_flips(a), "b": paired.sign_flips(b)}
    joint = paired.average_flips({"a": a, "b": b}, drawn)
    weights = np.concatenate([even(len(a)) / 2, even(len(b)) / 2])
    assert joint.p() == pytest.approx(brute_force(np.concatenate([a, b]), weights))
    assert joint.mean == pytest.approx((a.mean() + b.mean()) / 2)


@pytest.mark.parametrize("n", [9, 40, 300])
def test_scipy_finds_the_same_p(n: int) -> None:
    rng = np.random.default_rng(n)
    differences = rng.normal(0.3, 1, n)
    theirs = stats.permutation_test(
        (differences, np.zeros(n)),
        lambda a, b, axis: (a - b).mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=20_000,
        rng=np.random.default_rng(1),
    )
    ours = paired.sign_flips(differences).p()
    assert ours == pytest.approx(theirs.pvalue, abs=1e-12 if n < 10 else 0.01)


@given(st.lists(numbers, min_size=1, max_size=60).map(np.array))
def test_p_and_interval_agree(differences: np.ndarray) -> None:
    flips = paired.sign_flips(differences, resamples=2000)
    if flips.scale == 0:
        return
    low, high = flips.interval(0.05)
    slack = 1e-6 * flips.scale
    assert low <= flips.mean + slack
    assert flips.mean - slack <= high
    for end, outward in ((low, -1), (high, 1)):
        if math.isfinite(end):
            assert flips.p(end) > 0.05
            assert flips.p(end + outward * slack) <= 0.05
    if min(abs(low), abs(high)) > slack:
        assert (flips.p() > 0.05) == (low <= 0 <= high)


@given(st.lists(numbers, min_size=1, max_size=60).map(np.array))
def test_swapping_the_runs_mirrors_all(differences: np.ndarray) -> None:
    plain = paired.sign_flips(differences, resamples=2000)
    swapped = paired.sign_flips(-differences, resamples=2000)
    assert plain.mean == -swapped.mean
    assert plain.p() == swapped.p()
    assert plain.p(0.5) == swapped.p(-0.5)
    low, high = plain.interval(0.05)
    assert swapped.interval(0.05) == (-high, -low)


def test_too_few_prompts_have_an_infinite_interval_and_none_means_no_change() -> None:
    assert paired.sign_flips(np.ones(5)).p() == 2 / 2**5
    assert paired.sign_flips(np.ones(5)).interval(0.05) == (-math.inf, math.inf)
    assert paired.sign_flips(np.zeros(3)).interval(0.05) == (0, 0)
    assert paired.sign_flips(np.zeros(3)).p() == 1
    assert paired.sign_flips(np.array([2.0])).p() == 1


def test_random_flips_count_the_observed_one() -> None:
    assert paired.sign_flips(np.linspace(5, 6, 200), resamples=1000).p() == 1 / 1001


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 20))
def test_the_closed_form_is_mcnemars_exact_test(up: int, down: int, same: int) -> None:
    differences = np.array([1.0] * up + [-1.0] * down + [0.0] * same)
    wanted = stats.binomtest(up, up + down).pvalue if up + down else 1.0
    assert paired.equal_sizes_p(100 * differences) == pytest.approx(wanted)


@given(st.lists(st.sampled_from([-100.0, 0.0, 100.0]), min_size=1, max_size=12).map(np.array))
def test_the_closed_form_equals_enumeration(differences: np.ndarray) -> None:
    wanted = brute_force(differences, even(len(differences)))
    assert paired.equal_sizes_p(differences) == pytest.approx(wanted)


def test_the_closed_form_needs_equal_sizes_and_handles_many_prompts() -> None:
    assert paired.equal_sizes_p(np.array([1.0, -2.0])) is None
    many = np.array([1.0] * 5200 + [-1.0] * 5000)
    assert paired.equal_sizes_p(many) == pytest.approx(stats.binomtest(5000, 10_200).pvalue)


def naive_holm(p_values: list[float]) -> list[float]:
    """The smallest level at which Holm's steps reject each, by trying all candidates."""

    def rejected(alpha: float) -> set[int]:
        done: set[int] = set()
        for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
            if p_values[index] > alpha / (len(p_values) - rank) * (1 + 1e-12):
                break
            done.add(index)
        return done

    levels = [1.0, *(p * k for p in p_values for k in range(1, len(p_values) + 1))]
    return [
        min([level for level in levels if level <= 1 and i in rejected(level)], default=1.0)
        for i in range(len(p_values))
    ]


@given(st.lists(st.floats(1e-4, 1).map(lambda p: round(p, 4)), min_size=1, max_size=7))
def test_holm_is_that_of_the_definition(p_values: list[float]) -> None:
    assert paired.holm(p_values) == pytest.approx(naive_holm(p_values))


def test_holm_of_nothing() -> None:
    assert paired.holm([]) == []


def test_the_detectable_change() -> None:
    assert paired.detectable_errors(0.05) == pytest.approx(1.959964 + 0.841621, abs=1e-5)
    assert paired.standard_error(np.array([1.0, 3.0])) == pytest.approx(1.0)
    assert paired.standard_error(np.array([1.0])) is None


def test_p_is_uniform_where_nothing_changed() -> None:
    rng = np.random.default_rng(0)
    p_values = [paired.sign_flips(rng.normal(0, 1, 30), resamples=1000).p() for _ in range(400)]
    assert stats.kstest(p_values, "uniform").pvalue > 0.01


@pytest.mark.parametrize("kind", ["flip", "bootstrap"])
def test_intervals_cover(kind: str) -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(400):
        differences = rng.normal(1, 3, 100)
        low, high = (
            paired.sign_flips(differences, resamples=1000).interval(0.05)
            if kind == "flip"
            else average_interval({"t": differences}, 0.05, 1000)
        )
        hits += low <= 1 <= high
    assert 0.92 < hits / 400 < 0.98


def test_tasks_have_the_same_weight_in_an_average() -> None:
    parts = {"few": np.full(30, 1.0), "many": np.full(300, 3.0)}
    flips = {task: paired.sign_flips(differences, task) for task, differences in parts.items()}
    assert paired.average_flips(parts, flips).mean == pytest.approx(2)
    assert average_interval(parts, 0.05) == (2, 2)


def test_many_exact_tests_share_a_limit_of_work() -> None:
    assert paired.exact_limit([20] * 16) == EXACT
    assert paired.exact_limit([20] * 17) < EXACT
    assert paired.exact_limit([300] * 1000) == EXACT
    few = np.linspace(-1, 2, 18)
    exact, random = (paired.sign_flips(few, exact=limit).p() for limit in (20, 13))
    assert random == pytest.approx(exact, abs=0.02)


def test_the_number_of_prompts_needed() -> None:
    assert paired.prompts_needed(50, 2.0, 0.5) == 800
    assert paired.prompts_needed(50, 2.0, 0.0) is None
    assert paired.prompts_needed(50, 2.0, 1e-300) is None


def test_equal_scores_need_a_number_of_prompts_to_be_evidence() -> None:
    assert [paired.can_reject(n, 0.05) for n in (1, 5, 6, 5000)] == [False, False, True, True]


def test_one_prompt_is_no_evidence() -> None:
    assert exact_p_values(np.array([[2.0], [0.0]])).tolist() == [1.0, 1.0]
