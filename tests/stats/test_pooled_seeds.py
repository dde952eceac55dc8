"""Differences with one deviation for all conditions, against a two-way table worked by hand."""

import numpy as np
import pytest
from scipy import stats

from kdbench.stats.pooled_seeds import pooled_differences


def by_seed(*values: float) -> dict[int, float]:
    return dict(enumerate(values, start=10))


def test_a_table_worked_by_hand() -> None:
    """Rows 1 2 3, 2 3 7 and 3 4 5: residuals 1/3 1/3 -2/3, -2/3 -2/3 4/3 and 1/3 1/3 -2/3."""
    found = pooled_differences(by_seed(1, 2, 3), {"a": by_seed(2, 3, 7), "b": by_seed(3, 4, 5)})
    error = (4 / 4 * 2 / 3) ** 0.5  # the squares are 6/9, 24/9 and 6/9, with 4 degrees of freedom
    assert found["a"].value == pytest.approx(2)
    assert found["a"].high == pytest.approx(2 + 2.776445 * error, abs=1e-5)
    assert found["a"].p == pytest.approx(2 * stats.t.sf(2 / error, 4))
    assert found["b"].low == pytest.approx(2 - 2.776445 * error, abs=1e-5)
    assert found["b"].seeds == (10, 11, 12)


def test_with_one_condition_it_is_the_paired_t_test() -> None:
    first, second = [3.1, 2.9, 3.6, 3.3], [2.0, 2.2, 2.1, 2.6]
    (found,) = pooled_differences(by_seed(*second), {"a": by_seed(*first)}).values()
    assert found.p == pytest.approx(stats.ttest_rel(first, second).pvalue)


def test_it_keeps_its_level_where_deviations_are_alike() -> None:
    rng = np.random.default_rng(0)
    false = 0
    for _ in range(400):
        table = rng.normal(size=(5, 3)) + rng.normal(size=3)
        found = pooled_differences(
            by_seed(*table[0]),
            {"a": by_seed(*table[1]), **{str(row): by_seed(*table[row]) for row in (2, 3, 4)}},
        )
        false += found["a"].direction != 0
    assert 0.02 < false / 400 < 0.08


def test_seeds_without_deviation_prove_little_and_other_seeds_are_refused() -> None:
    found = pooled_differences(by_seed(1, 1, 1), {"a": by_seed(2, 2, 2), "b": by_seed(1, 1, 1)})
    assert (found["a"].p, found["b"].p) == (0.25, 1.0)
    assert found["a"].direction == 0
    with pytest.raises(ValueError, match="same training seeds"):
        pooled_differences({1: 1.0, 2: 2.0}, {"a": {1: 1.0, 3: 2.0}})
    with pytest.raises(ValueError, match="two or more"):
        pooled_differences({1: 1.0}, {"a": {1: 1.0}})
