"""The mean gap of two curves, against values worked by hand and its invariances."""

import numpy as np
import pytest

from kdbench.frontiers.curve import Curve, common_range, mean_gap


def curve(*points: tuple[float, float]) -> Curve:
    x, y = np.array(points, dtype=float).T
    return Curve.of(x, y)


def random_curve(rng: np.random.Generator) -> Curve:
    n = rng.integers(2, 8)
    return Curve.of(rng.uniform(0, 2, n), rng.normal(50, 10, n))


def dense_gap(first: Curve, second: Curve) -> float:
    """The mean over 200,000 points of the common range."""
    shared = common_range(first, second)
    assert shared is not None
    x = (np.arange(200_000) + 0.5) / 200_000 * (shared[1] - shared[0]) + shared[0]
    gap = np.interp(x, first.x, first.y) - np.interp(x, second.x, second.y)
    return float(gap.mean())


def test_values_worked_by_hand() -> None:
    flat, rising = curve((0, 10), (2, 10)), curve((0, 10), (2, 14))
    assert mean_gap(rising, flat) == pytest.approx(2)  # a triangle of 2 * 4 / 2, over 2
    # Only from 1 to 2 are both known: the gap goes from 2 to 4.
    assert mean_gap(rising, curve((1, 10), (3, 10))) == pytest.approx(3)
    # A tent of height 6 over its baseline, whose only inner point is elsewhere.
    tent = curve((0, 0), (1, 6), (2, 0))
    assert mean_gap(tent, curve((0, 0), (0.5, 0), (2, 0))) == pytest.approx(3)
    # Curves that cross: the areas cancel.
    assert mean_gap(curve((0, 1), (2, -1)), curve((0, 0), (2, 0))) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_the_gap_is_the_mean_difference_on_a_dense_grid(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = random_curve(rng), random_curve(rng)
    gap = mean_gap(first, second)
    if gap is None:
        assert first.x[-1] <= second.x[0] or second.x[-1] <= first.x[0]
    else:
        assert gap == pytest.approx(dense_gap(first, second), abs=1e-4)


@pytest.mark.parametrize("seed", range(20))
def test_invariances(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = random_curve(rng), random_curve(rng)
    assert mean_gap(first, first) == 0
    higher = Curve(first.x, first.y + 3.25)
    assert mean_gap(higher, first) == pytest.approx(3.25)
    gap = mean_gap(first, second)
    if gap is None:
        return
    assert mean_gap(second, first) == pytest.approx(-gap)
    assert mean_gap(Curve(first.x, first.y + 2), second) == pytest.approx(gap + 2)
    order = rng.permutation(len(first.x))
    assert mean_gap(Curve.of(first.x[order], first.y[order]), second) == pytest.approx(gap)
    # Another unit of entropy, or the same curve with one more point on it, changes nothing.
    wider = [Curve(1.7 * c.x, c.y) for c in (first, second)]
    assert mean_gap(*wider) == pytest.approx(gap)
    x = rng.uniform(first.x[0], first.x[-1])
    more = Curve.of(np.append(first.x, x), np.append(first.y, np.interp(x, first.x, first.y)))
    assert mean_gap(more, second) == pytest.approx(gap)


def test_curves_without_a_common_range_have_no_gap() -> None:
    left, right = curve((0, 1), (1, 2)), curve((2, 1), (3, 2))
    assert common_range(left, right) is None
    assert mean_gap(left, right) is None
    assert mean_gap(left, curve((1, 5), (2, 5))) is None  # they only touch
    assert mean_gap(curve((0.5, 1)), left) is None  # one point is no curve


def test_points_of_equal_entropy_are_one_point_of_their_mean() -> None:
    tied = curve((0, 1), (1, 2), (1, 4), (2, 3))
    assert tied.x.tolist() == [0, 1, 2]
    assert tied.y.tolist() == [1, 3, 3]
