"""Means over training seeds against Student's t worked by hand."""

import pytest

from kdbench.stats.over_seeds import difference_over_seeds, ends_of, mean_over_seeds


def test_the_interval_is_students_over_the_seeds():
    found = mean_over_seeds({12: 3.0, 10: 1.0, 11: 2.0})
    # mean 2, standard error 1/√3, t(2; 0.975) = 4.302653
    assert found.value == pytest.approx(2)
    assert found.low == pytest.approx(2 - 4.302653 / 3**0.5, abs=1e-5)
    assert found.high == pytest.approx(2 + 4.302653 / 3**0.5, abs=1e-5)
    assert found.p == pytest.approx(0.0741799, abs=1e-6)  # t = 3.4641 with 2 degrees of freedom
    assert found.seeds == (10, 11, 12)
    assert found.direction == 0


@pytest.mark.parametrize(("sign", "direction"), [(1, 1), (-1, -1)])
def test_the_direction_is_the_side_of_zero_on_which_the_interval_lies(sign, direction):
    assert mean_over_seeds({1: sign * 1.0, 2: sign * 1.1}).direction == direction


@pytest.mark.parametrize(("seeds", "p", "direction"), [(2, 0.5, 0), (5, 0.0625, 0), (6, 1 / 32, 1)])
def test_seeds_that_agree_to_the_last_digit_are_judged_by_their_signs(seeds, p, direction):
    first, second = dict.fromkeys(range(seeds), 0.5), dict.fromkeys(range(seeds), 0.25)
    found = difference_over_seeds(first, second)
    assert (found.value, found.low, found.high) == (0.25, 0.25, 0.25)
    assert (found.p, found.direction) == (pytest.approx(p), direction)
    equal = difference_over_seeds(first, first)
    assert (equal.value, equal.p, equal.direction) == (0, 1, 0)


def test_one_seed_has_a_value_and_no_interval():
    found = mean_over_seeds({10: 0.5})
    assert (found.value, found.low, found.high, found.p, found.direction) == (
        0.5,
        None,
        None,
        None,
        0,
    )


def test_a_difference_is_paired_and_over_the_seeds_that_both_have():
    first = {1: 10.0, 2: 20.0, 3: 30.0, 4: 99.0}
    second = {1: 9.0, 2: 18.0, 3: 27.0, 5: -99.0}
    found = difference_over_seeds(first, second)
    assert found.seeds == (1, 2, 3)
    assert found.value == pytest.approx(2)  # of 1, 2, 3
    assert found.low == pytest.approx(2 - 4.302653 / 3**0.5, abs=1e-5)


def test_no_seed_is_an_error():
    with pytest.raises(ValueError, match="no training seed"):
        difference_over_seeds({1: 1.0}, {2: 1.0})


def test_ends_are_those_of_all_intervals_or_of_none():
    assert ends_of([(1.0, 2.0), (0.0, 3.0)]) == ((1.0, 0.0), (2.0, 3.0))
    assert ends_of([(1.0, 2.0), (None, None)]) == ((), ())
    assert ends_of([]) == ((), ())
