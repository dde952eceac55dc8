"""Differences from one condition, paired by training seed, with Holm's correction."""

import pytest
from scipy.stats import ttest_rel

from kdbench.analyses.core.against import curve_of_means, differences_from

BASE = {10: 1.0, 11: 2.0, 12: 4.0}
FAR = {10: 2.0, 11: 3.1, 12: 4.9}
NEAR = {10: 1.3, 11: 1.9, 12: 4.1}


def test_p_values_are_holms_of_paired_tests() -> None:
    found = differences_from(BASE, {"far": FAR, "near": NEAR})
    raw = {
        name: ttest_rel(list(of.values()), list(BASE.values())).pvalue
        for name, of in (("far", FAR), ("near", NEAR))
    }
    assert raw["far"] < raw["near"]
    assert found["far"].p == pytest.approx(2 * raw["far"])
    assert found["near"].p == pytest.approx(max(2 * raw["far"], raw["near"]))
    assert found["far"].found.value == pytest.approx(1.0)
    assert (found["far"].direction, found["near"].direction) == (1, 0)


def test_below_is_negative_and_its_text_is_a_size() -> None:
    found = differences_from(FAR, {"base": BASE})["base"]
    assert found.direction == -1
    low, high = found.found.low, found.found.high
    assert found.text(3) == f"1.000 [{-high:.3f}, {-low:.3f}]"  # type: ignore[operator]


def test_one_seed_tells_nothing() -> None:
    found = differences_from({10: 1.0}, {"far": {10: 9.0}})["far"]
    assert (found.p, found.direction, found.text(1)) == (None, 0, "8.0")


def test_a_curve_has_intervals_where_there_are_seeds() -> None:
    curve = curve_of_means("a", [1, 2], [BASE, FAR])
    assert curve.y == pytest.approx((7 / 3, 10 / 3))
    assert len(curve.low) == len(curve.high) == 2
    assert curve_of_means("a", [1], [{10: 1.0}]).low == ()
