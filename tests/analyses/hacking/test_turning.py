"""Turning points worked by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdbench.analyses.hacking.turning import (
    changes_since,
    mean_curve,
    turning_step,
    turning_steps,
)

# Means over seeds: 4, 2, 3. Without seed 1: 4, 3, 2. Without seed 2: 4, 1, 4.
CURVES = {1: {0: 4.0, 10: 1.0, 20: 4.0}, 2: {0: 4.0, 10: 3.0, 20: 2.0}}


def test_the_turning_point_is_the_lowest_mean():
    assert turning_step(CURVES) == 10
    assert turning_step({1: {0: 1.0, 5: 1.0}}) == 0  # the first of several


def test_each_seed_turns_where_the_others_do():
    assert turning_steps(CURVES) == {1: 20, 2: 10}


def test_the_rise_of_a_seed_is_not_from_its_own_minimum():
    # Seed 1 would rise by 3 from its own minimum, and seed 2 by 0.
    assert changes_since(CURVES, turning_steps(CURVES)) == {1: 0.0, 2: -1.0}


def test_a_lone_seed_turns_at_its_own_minimum():
    assert turning_steps({7: {0: 2.0, 10: 1.0, 20: 3.0}}) == {7: 10}


def test_the_mean_curve_has_an_interval_at_each_step():
    mean = mean_curve(CURVES)
    assert [mean[step].value for step in (0, 10, 20)] == [4.0, 2.0, 3.0]
    # differences of 2: standard error 1, t(1; 0.975) = 12.7062
    assert mean[10].high == pytest.approx(2 + 12.7062, abs=1e-4)


def test_curves_with_different_steps_are_refused():
    with pytest.raises(ValueError, match="different steps"):
        turning_step({1: {0: 1.0}, 2: {0: 1.0, 10: 2.0}})


@given(st.lists(st.lists(st.floats(-9, 9), min_size=4, max_size=4), min_size=3, max_size=3))
def test_a_shift_of_all_curves_moves_no_turning_point(rows):
    rows = [[round(value, 3) for value in row] for row in rows]
    curves = {seed: dict(enumerate(row)) for seed, row in enumerate(rows)}
    shifted = {seed: {s: v + 64 for s, v in curve.items()} for seed, curve in curves.items()}
    rises, after = (changes_since(c, turning_steps(curves)) for c in (curves, shifted))
    assert after == pytest.approx(rises, abs=1e-9)
