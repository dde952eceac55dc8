"""Measures of answers against numbers worked by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdbench.analyses.answered.measures import AnswerMeasures
from kdbench.analyses.answered.read import AnsweredTable

BASE = (0.4, 0.1, 0.1, 0.2, 0.2)
"""Student 0.5, teacher 0.6; agreement 0.5, between 0.1 and 0.9; right alike 0.7, by chance 0.5."""


def measures(cells: object, kl: object = None) -> AnswerMeasures:
    """Of cells (rows, seeds, tasks, 5)."""
    array = np.array(cells, dtype=float)
    rows, seeds, tasks, _ = array.shape
    options = np.zeros((rows, seeds, 0)) if kl is None else np.array(kl, dtype=float)
    names = ("SFT", *(f"method {row}" for row in range(1, rows)))
    seeds_of = tuple(range(10, 10 + seeds))
    return AnswerMeasures(
        AnsweredTable(names, seeds_of, tuple(map(str, range(tasks))), array, options, {})
    )


def test_the_measures_of_one_task() -> None:
    found = measures([[[BASE]]])
    assert found.accuracies.item() == pytest.approx(0.5)
    assert found.teacher.item() == pytest.approx(0.6)
    assert found.agreements.item() == pytest.approx(0.5)
    assert found.place.item() == pytest.approx(0.4 / 0.8)
    assert found.kappa.item() == pytest.approx(0.2 / 0.5)
    assert found.same_wrong.item() == pytest.approx(0.1 / 0.3)


def test_ratios_are_of_sums_over_tasks_and_undefined_ones_take_nothing_away() -> None:
    always_right = (1.0, 0, 0, 0, 0)  # least and most agreement are 1, and chance is
    found = measures([[[BASE, always_right]]])
    assert found.place.item() == pytest.approx(0.5)
    assert found.kappa.item() == pytest.approx(0.4)
    assert found.same_wrong.item() == pytest.approx(1 / 3)
    alone = measures([[[always_right]]])
    assert np.isnan([alone.place, alone.kappa, alone.same_wrong]).all()
    assert alone.mean(alone.kappa, 0) is None
    assert alone.changes(alone.kappa) == {}
    assert np.isnan(alone.option_kl).all()
    assert measures([[[BASE]]], kl=[[[0.2, 0.4]]]).option_kl.item() == pytest.approx(0.3)


@given(st.lists(st.integers(0, 9), min_size=5, max_size=5).filter(any))
def test_place_is_a_share_and_kappa_is_0_for_independent_errors(counts: list[int]) -> None:
    shares = np.array(counts) / sum(counts)
    found = measures([[[shares]]])
    if np.isfinite(found.place.item()):
        assert -1e-9 <= found.place.item() <= 1 + 1e-9
    student, teacher = found.accuracies.item(), found.teacher.item()
    wrong = (1 - student) * (1 - teacher)
    apart = [student * teacher, 0, student * (1 - teacher), teacher * (1 - student), wrong]
    independent = measures([[[apart]]]).kappa.item()
    assert np.isnan(independent) or independent == pytest.approx(0, abs=1e-9)


def test_changes_are_paired_by_seed() -> None:
    gains = (0.1, 0.2, 0.3)
    base = [[(0.4, 0.1, 0.1, 0.2, 0.2)], [(0.3, 0.1, 0.1, 0.3, 0.2)], [(0.2, 0.1, 0.1, 0.4, 0.2)]]
    better = [
        [(rr + gain, ws, wr, rw - gain, wd)]
        for [(rr, ws, wr, rw, wd)], gain in zip(base, gains, strict=True)
    ]
    found = measures([base, better])
    change = found.changes(found.accuracies)["method 1"]
    assert change.found.value == pytest.approx(0.2)
    assert change.found.low == pytest.approx(0.2 - 4.302653 * 0.1 / 3**0.5, abs=1e-6)
    assert change.p == pytest.approx(0.0741799, abs=1e-6)  # t = 0.2 / (0.1 / √3), 2 degrees
    assert found.mean(found.accuracies, 1).value == pytest.approx((0.6 + 0.6 + 0.6) / 3)


def test_correlations_over_methods() -> None:
    """Accuracy and agreement of four methods have the ranks 1 2 3 4 and 2 1 3 4: rho is 0.8."""
    pairs = [(0.5, 0.5), (0.51, 0.53), (0.52, 0.52), (0.53, 0.54), (0.54, 0.56)]
    rows = [
        [[(acc - 0.1, agr - acc + 0.1, 0.1, 0.7 - acc, 0.3 - agr + acc - 0.1)]] * 2
        for acc, agr in pairs
    ]
    found = measures(rows)
    assert found.accuracies[:, 0, 0] == pytest.approx([acc for acc, _ in pairs])
    assert found.agreements[:, 0, 0] == pytest.approx([agr for _, agr in pairs])
    correlations = found.correlations(found.agreements)
    assert correlations.over_rows.value == pytest.approx(0.8)
    assert correlations.by_seed.value == pytest.approx(0.8)
    assert correlations.between_seeds.value == pytest.approx(0.8)
    assert correlations.by_seed.high == pytest.approx(0.8)
    assert measures(rows[:3]).correlations(measures(rows[:3]).agreements) is None
    assert found.correlations(np.full((5, 2), np.nan)) is None
    assert found.correlations(np.ones((5, 2))) is None


def test_between_seeds_no_chance_of_one_training_is_shared() -> None:
    """In each seed gain and agreement move together, and the methods do not differ otherwise."""
    shifts = np.array([[0.03, 0.0, -0.03], [0.0, -0.03, 0.03], [-0.03, 0.03, 0.0]])
    base = np.array(BASE)
    more = np.array([1, 0, 0, 0, -1.0])
    rows = [[[base]] * 3, *([[base + shift * more] for shift in of] for of in shifts)]
    found = measures(rows)
    correlations = found.correlations(found.agreements)
    assert correlations is None  # all means are equal
    rows[1] = [[base + (shift + 0.001) * more] for shift in shifts[0]]
    rows[3] = [[base + (shift - 0.001) * more] for shift in shifts[2]]
    found = measures(rows)
    correlations = found.correlations(found.agreements)
    assert correlations.by_seed.value == pytest.approx(1)
    assert correlations.between_seeds.value < 0
