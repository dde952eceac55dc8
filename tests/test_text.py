"""Numbers as people read them."""

import pytest

from kdbench.text import byte_size, interval, number


def test_a_bound_is_marked() -> None:
    assert number(0.8124, 3, "lower") == "≥0.812"
    assert number(0.8124, 3, "upper") == "≤0.812"
    assert number(12.345, 1) == "12.3"


def test_an_interval_needs_both_ends() -> None:
    assert interval(22.9, 24.606, 2) == "[22.90, 24.61]"
    assert interval(-0.5, 0.0, 3) == "[-0.500, 0.000]"
    assert interval(None, 1.0, 2) == interval(1.0, None, 2) == ""


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_960, "1.0 MB"),
        (4_230_000_000, "4.2 GB"),
        (5e12, "5000.0 GB"),
    ],
)
def test_sizes_change_unit_before_they_have_four_digits(size: float, text: str) -> None:
    assert byte_size(size) == text
