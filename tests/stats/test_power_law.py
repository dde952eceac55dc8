"""The power law: known parameters come back, and what the data do not determine is said."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdbench.stats.power_law import EXPONENTS, fit_power_law

AMOUNTS = [1e3, 3e3, 1e4, 3e4, 1e5, 3e5]


def test_by_hand() -> None:
    # L = 1 + 8/√D at D = 1, 4, 16, 64: 9, 5, 3, 2
    law = fit_power_law([1, 4, 16, 64], [9, 5, 3, 2])
    assert (law.floor, law.scale, law.exponent) == pytest.approx((1, 8, 0.5), rel=1e-5)
    assert law.error == pytest.approx(0, abs=1e-6)
    assert law.at(256) == pytest.approx(1.5, rel=1e-6)
    assert law.is_determined


@given(st.floats(0.2, 3), st.floats(0.1, 2), st.floats(0.1, 1.5))
def test_known_parameters_come_back(floor: float, fall: float, exponent: float) -> None:
    losses = [floor + fall * (amount / 1e3) ** -exponent for amount in AMOUNTS]
    law = fit_power_law(AMOUNTS, losses)
    assert law.exponent == pytest.approx(exponent, rel=0.01)
    assert law.floor == pytest.approx(floor, rel=0.02)
    assert law.at(1e6) == pytest.approx(floor + fall * 1e3**-exponent, rel=0.005)


def test_noise_moves_the_estimate_by_little() -> None:
    rng = np.random.default_rng(0)
    losses = [1.2 + 40 * amount**-0.4 + rng.normal(0, 1e-3) for amount in AMOUNTS]
    law = fit_power_law(AMOUNTS, losses)
    assert law.exponent == pytest.approx(0.4, abs=0.03)
    assert law.floor == pytest.approx(1.2, abs=0.02)


def test_least_squares_is_no_worse_than_a_search() -> None:
    rng = np.random.default_rng(1)
    losses = np.array([2.1, 1.7, 1.5, 1.2, 1.15, 1.0])
    law = fit_power_law(AMOUNTS, losses.tolist())
    for _ in range(3000):
        floor, at_start, exponent = rng.uniform(0, 1), rng.uniform(0, 3), rng.uniform(0.01, 2)
        other = floor + at_start * (np.array(AMOUNTS) / 1e3) ** -exponent
        assert law.error <= np.sqrt(((other - losses) ** 2).mean()) + 1e-9


@pytest.mark.parametrize("losses", [[2.0] * 6, [1, 2, 3, 4, 5, 6]])
def test_losses_that_do_not_fall_determine_no_law(losses: list[float]) -> None:
    law = fit_power_law(AMOUNTS, losses)
    assert not law.is_determined
    assert EXPONENTS[0] <= law.exponent <= EXPONENTS[1] * (1 + 1e-9)


@pytest.mark.parametrize("amounts", [[1, 2], [1, 1, 2], [0, 1, 2]])
def test_too_few_or_wrong_points_are_refused(amounts: list[float]) -> None:
    with pytest.raises(ValueError, match="amounts"):
        fit_power_law(amounts, [3.0] * len(amounts))
