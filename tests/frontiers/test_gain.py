"""The interval of a gain: by hand, by its own definition, and how often it covers the truth."""

import numpy as np
import pytest
from scipy import stats

from kdbench.frontiers.curve import Curve, mean_gap
from kdbench.frontiers.gain import find_gain, find_mean

X = np.array([0.1, 0.3, 0.6, 1.0])


def quality(x: np.ndarray) -> np.ndarray:
    return 60 - 10 * x**2


def training(
    rng: np.random.Generator, effects: np.ndarray, sharper: float = 1.0, gain: float = 0.0
) -> np.ndarray:
    """Entropies and qualities of one task, (2, temperatures, prompts)."""
    x = X / sharper
    shape = (len(x), len(effects))
    entropies = x[:, None] * rng.lognormal(-0.02, 0.2, shape)
    qualities = quality(x)[:, None] + effects + gain + rng.normal(0, 5, shape)
    return np.stack([entropies, qualities])


def test_a_constant_gain_is_found_without_error() -> None:
    rng = np.random.default_rng(0)
    base = training(rng, rng.normal(0, 10, 12))
    found = find_gain([([base + np.array([0, 1.5])[:, None, None]], [base])])
    assert found is not None
    assert found.value == pytest.approx(1.5)
    assert found.low == pytest.approx(1.5, abs=1e-6)
    assert found.high == pytest.approx(1.5, abs=1e-6)
    same = find_gain([([base], [base])])
    assert same is not None
    assert (same.value, same.p) == (0, 1)


def test_differences_at_equal_entropies_give_the_paired_t_test() -> None:
    """With fixed entropies the gain is a weighted mean of differences: Student's t by hand."""
    rng = np.random.default_rng(1)
    n = 15
    entropies = np.repeat(X[:, None], n, axis=1)
    base = np.stack([entropies, rng.normal(50, 10, (4, n))])
    own = np.stack([entropies, base[1] + rng.normal(1, 4, (4, n))])
    steps = np.diff(X)
    weights = (np.append(steps, 0) + np.append(0, steps)) / 2 / (X[-1] - X[0])
    differences = weights @ (own[1] - base[1])
    expected = stats.ttest_1samp(differences, 0)
    low, high = expected.confidence_interval(0.95)
    found = find_gain([([own], [base])])
    assert found is not None
    assert found.value == pytest.approx(differences.mean())
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert found.p == pytest.approx(expected.pvalue)


def test_the_gain_is_that_of_the_mean_over_tasks() -> None:
    rng = np.random.default_rng(2)
    tasks = [[training(rng, rng.normal(0, 9, n)) for n in (8, 30)] for _ in range(2)]
    curves = [
        Curve.of(*np.mean([of_task.mean(axis=-1) for of_task in one], axis=0)) for one in tasks
    ]
    found = find_gain([(tasks[0], tasks[1])])
    assert found is not None
    assert found.value == mean_gap(*curves)


def test_leaving_a_prompt_out_is_what_it_says() -> None:
    """The interval equals that of a plain delete-one jackknife over both tasks."""
    rng = np.random.default_rng(3)
    effects = [rng.normal(0, 9, n) for n in (6, 9)]
    own, base = ([training(rng, e) for e in effects] for _ in range(2))

    def gap(left_out: tuple[int, int] | None) -> float:
        curves = []
        for one in (own, base):
            means = [
                (np.delete(t, left_out[1], -1) if left_out and left_out[0] == k else t).mean(-1)
                for k, t in enumerate(one)
            ]
            curves.append(Curve.of(*np.mean(means, axis=0)))
        value = mean_gap(*curves)
        assert value is not None
        return value

    variances = []
    for k, e in enumerate(effects):
        without = np.array([gap((k, p)) for p in range(len(e))])
        variances.append((len(e) - 1) / len(e) * ((without - without.mean()) ** 2).sum())
    freedom = sum(variances) ** 2 / sum(
        v**2 / (len(e) - 1) for v, e in zip(variances, effects, strict=True)
    )
    reach = stats.t.ppf(0.975, freedom) * np.sqrt(sum(variances))
    found = find_gain([(own, base)])
    assert found is not None
    assert found.high is not None
    assert found.high - found.value == pytest.approx(reach)
    assert found.value == pytest.approx(gap(None))


def covered(trained: int, tasks: int, n: int, sd: float, runs: int) -> float:
    """The share of intervals that cover the gain of a sharper student that is better by 1."""
    rng = np.random.default_rng(4)
    truth = mean_gap(Curve.of(X / 1.4, quality(X / 1.4) + 1), Curve.of(X, quality(X)))
    assert truth is not None
    hits = 0
    for _ in range(runs):
        pairs = [([], []) for _ in range(trained)]
        shifts = rng.normal(0, sd, (trained, 2))
        for _ in range(tasks):
            effects = rng.exponential(15, n) - 15
            for (own, base), shift in zip(pairs, shifts, strict=True):
                own.append(training(rng, effects, 1.4, 1 + shift[0]))
                base.append(training(rng, effects, 1.0, shift[1]))
        found = find_gain(pairs)
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= truth <= found.high
    return hits / runs


@pytest.mark.parametrize(
    ("trained", "tasks", "n", "sd", "least", "most"),
    [(1, 1, 15, 0.0, 0.92, 0.98), (1, 2, 20, 0.0, 0.92, 0.98), (3, 1, 15, 1.0, 0.93, 1.0)],
)
def test_intervals_cover_the_truth(
    trained: int, tasks: int, n: int, sd: float, least: float, most: float
) -> None:
    assert least <= covered(trained, tasks, n, sd, 400 // trained) <= most


def test_prompts_that_both_answer_well_do_not_widen_the_interval() -> None:
    rng = np.random.default_rng(5)
    widths = []
    for sd in (1, 100):
        rng = np.random.default_rng(5)
        effects = rng.normal(0, sd, 20)
        own, base = training(rng, effects), training(rng, effects)
        found = find_gain([([own], [base])])
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        widths.append(found.high - found.low)
    assert widths[1] < 2 * widths[0]


def test_what_cannot_be_known_is_none() -> None:
    rng = np.random.default_rng(6)
    base = training(rng, np.zeros(5))
    far = base + np.array([9, 0])[:, None, None]
    assert find_gain([([far], [base])]) is None
    one = find_gain([([base[..., :1] + 1], [base[..., :1]])])
    assert one is not None
    assert (one.low, one.high, one.p) == (None, None, None)
    # Without the last prompt the curves part, so that no interval is known.
    entropies = np.repeat(X[:, None], 4, axis=1)
    own = np.stack([entropies + 0.95, np.zeros((4, 4))])
    own[0, :, -1] = -0.2
    parted = find_gain([([own], [np.stack([entropies, np.zeros((4, 4))])])])
    assert parted is not None
    assert (parted.value, parted.low) == (0, None)


def test_the_mean_of_one_training_has_students_interval() -> None:
    values = np.random.default_rng(7).normal(3, 2, 10)
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    found = find_mean([[values]])
    assert (found.value, found.low, found.high) == pytest.approx((values.mean(), low, high))
