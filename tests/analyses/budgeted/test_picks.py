"""Picks under budgets, on qualities made by hand."""

import pytest

from kdbench.analyses.budgeted.picks import budgets, picks


def test_budgets_are_round_and_each_lets_another_method_in():
    assert budgets([1.0, 1.9, 2.1, 6.0]) == pytest.approx([1, 2, 3, 7])
    assert budgets([1.0]) == [1.0]
    assert budgets([1.0, 1.0, 14.0]) == pytest.approx([1, 15])
    assert budgets([0.4, 1.0, 1 + 1e-12]) == pytest.approx([0.5, 1])


def by_seed(*values):
    return dict(enumerate(values, start=10))


COSTS = {"sft": 1.0, "kd": 2.0, "gkd": 4.0}
STEADY = by_seed(50.0, 50.1, 49.9, 50.0, 50.05)


def shifted(by, noise):
    return {seed: value + by + n for (seed, value), n in zip(STEADY.items(), noise, strict=True)}


def test_a_dearer_method_that_is_shown_to_be_better_is_picked():
    better = shifted(5, (0.1, -0.1, 0.05, 0, -0.05))
    found = picks(COSTS, {"sft": STEADY, "kd": better, "gkd": shifted(1, (2, -2, 1, -1, 0.5))})
    assert [one.budget for one in found] == pytest.approx([1, 2, 5])
    assert [one.pick for one in found] == ["sft", "kd", "kd"]
    assert found[1].ties == ()
    assert found[2].best == "kd"


def test_the_cheapest_is_picked_where_nothing_is_shown_to_be_better():
    noisy = shifted(0.5, (4, -4, 3, -2, -1))
    found = picks(COSTS, {"sft": STEADY, "kd": noisy, "gkd": noisy})
    assert [one.pick for one in found] == ["sft"] * 3
    assert found[1].best == "kd"
    assert found[1].ties == ("sft",)
    assert found[2].best == "kd"  # of equal means the cheaper one


def test_what_an_affordable_method_beats_is_no_pick_although_it_ties_with_the_best():
    # kd has the best mean and is noisy; gkd is steady, and shown to be better than sft.
    qualities = {
        "sft": STEADY,
        "kd": shifted(4, (6, -6, 5, -3, -2)),
        "gkd": shifted(2, (0.1, -0.1, 0.05, 0, -0.05)),
    }
    found = picks(COSTS, qualities)
    assert [one.pick for one in found] == ["sft", "sft", "kd"]
    assert "sft" in found[2].ties


def test_one_training_seed_tells_nothing_apart():
    found = picks(COSTS, {"sft": {1: 50.0}, "kd": {1: 60.0}, "gkd": {1: 55.0}})
    assert [one.best for one in found] == ["sft", "kd", "kd"]
    assert [one.pick for one in found] == ["sft"] * 3


def test_tests_are_corrected_over_the_whole_table_under_every_budget():
    """Else a test would weaken as the budget grows, and with it the pick."""
    gain = shifted(1, (0.6, -0.6, 0.3, 0, -0.3))  # p 0.0092 alone, t = 4.714
    few = picks({"sft": 1.0, "kd": 2.0}, {"sft": STEADY, "kd": gain})
    assert few[1].pick == "kd"
    others = {f"m{number}": 5.0 + number for number in range(8)}
    same = {name: shifted(0, (3, -3, 2, -1, -1)) for name in others}
    many = picks({"sft": 1.0, "kd": 2.0, **others}, {"sft": STEADY, "kd": gain, **same})
    assert many[1].pick == many[-1].pick == "sft"  # 9 comparisons: p 0.083


def test_a_noisy_method_is_no_pick_only_because_it_is_told_apart_from_nothing():
    # kd is not told apart from gkd, nor from sft; gkd is shown to be better than sft.
    qualities = {
        "sft": STEADY,
        "kd": shifted(0.5, (6, -6, 5, -3, -2)),
        "gkd": shifted(4, (0.1, -0.1, 0.05, 0, -0.05)),
    }
    last = picks(COSTS, qualities)[-1]
    assert "kd" in last.ties
    assert last.pick == "gkd"


def test_of_two_that_are_shown_to_be_better_the_cheaper_is_picked_unless_it_is_beaten():
    kd, noise = shifted(3, (0.1, -0.1, 0.05, 0, -0.05)), (0.5, -0.5, 0.4, -0.2, -0.2)
    close = picks(COSTS, {"sft": STEADY, "kd": kd, "gkd": shifted(3.2, noise)})[-1]
    assert (close.best, close.pick) == ("gkd", "kd")
    clear = picks(COSTS, {"sft": STEADY, "kd": kd, "gkd": shifted(6, noise)})[-1]
    assert (clear.best, clear.pick, clear.ties) == ("gkd", "gkd", ())
