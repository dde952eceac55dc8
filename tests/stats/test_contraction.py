"""Fitted contraction rates: sequences whose rate is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdbench.stats.contraction import fit_contraction


@given(st.floats(0.05, 0.95), st.floats(0, 0.4), st.floats(0.5, 3), st.integers(3, 8))
def test_a_known_rate_is_found(rate, floor, first, steps):
    distances = floor + (first - floor) * rate ** np.arange(steps)
    found = fit_contraction(distances)
    assert found.rate == pytest.approx(rate, abs=1e-3)
    assert found.floor == pytest.approx(floor, abs=1e-2)


def test_the_values_of_the_operator():
    # KL to (.7, .2, .1) from (.2, .3, .5) under the geometric anchor of share .5: the rate tends to
    # (1 - .5)² = .25 from below.
    found = fit_contraction([0.634897, 0.146330, 0.033896, 0.008100, 0.001977])
    assert found.rate == pytest.approx(0.2305, abs=2e-3)
    assert found.floor == pytest.approx(0, abs=1e-3)


def test_what_stays_does_not_contract_and_what_jumps_does_in_one_step():
    assert fit_contraction([1.0, 0.2, 0.2, 0.2]).rate == pytest.approx(0, abs=1e-6)
    assert fit_contraction([1.0, 0.2, 0.2, 0.2]).floor == pytest.approx(0.2)
    assert fit_contraction([0.3, 0.3, 0.3]).rate == 1
    # What grows has no rate below 1 that is better than none.
    grown = fit_contraction([1.0, 1.1, 1.2, 1.3])
    assert grown.rate > 0.9
    with pytest.raises(ValueError, match="three distances"):
        fit_contraction([1.0, 0.5])
