"""The critic's classifier against its equations, and its curve against counts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdbench.builders.critic.judged import curve, unseen_probabilities
from kdbench.builders.critic.logistic import fit


@given(st.integers(0, 1000), st.integers(3, 40), st.integers(1, 4))
def test_the_fit_is_the_minimum(seed: int, n: int, d: int) -> None:
    """Its gradient, by hand, is 0; the loss is convex, so there is no other minimum."""
    draw = np.random.default_rng(seed)
    rows = draw.normal(size=(n, d)) * draw.uniform(0.1, 50, size=d) + draw.uniform(-9, 9, size=d)
    right = draw.random(n) < 0.5
    right[:2] = True, False
    critic = fit(rows.tolist(), right.tolist())
    values = np.column_stack([np.ones(n), (rows - rows.mean(0)) / rows.std(0)])
    errors = critic.probabilities(rows.tolist()) - right
    gradient = values.T @ errors + np.array([0.0, *critic.weights[1:]])
    assert np.abs(gradient).max() < 1e-6


def test_rows_that_a_line_divides_have_finite_weights() -> None:
    rows = [[float(n), 3.0] for n in range(20)]  # the second says nothing
    critic = fit(rows, [n >= 10 for n in range(20)])
    assert np.isfinite(critic.weights).all()
    values = critic.probabilities(rows)
    assert (np.diff(values) > 0).all()
    assert values[9] < 0.5 < values[10]


def test_a_row_is_valued_by_a_critic_that_has_not_seen_it() -> None:
    rows = [[float(n % 7), float(n % 3)] for n in range(30)]
    right = [n % 7 > 2 for n in range(30)]
    found = unseen_probabilities(rows, right)
    for place in (0, 7, 29):
        others = [n for n in range(30) if n % 5 != place % 5]
        critic = fit([rows[n] for n in others], [right[n] for n in others])
        assert found[place] == pytest.approx(critic.probabilities([rows[place]])[0])
    flipped = [label if n != 7 else not label for n, label in enumerate(right)]
    assert unseen_probabilities(rows, flipped)[7] == found[7]


def test_a_part_whose_rest_is_of_one_kind_gets_that_kind() -> None:
    assert unseen_probabilities([[1.0]] * 5, [True, False, False, False, False])[0] == 0.0


def test_precision_falls_and_recall_rises_with_what_is_kept() -> None:
    points = curve([0.05, 0.35, 0.45, 0.75, 0.95], [False, True, False, True, True])
    by_threshold = {point["threshold"]: point for point in points}
    assert by_threshold[0.0] == {"threshold": 0.0, "kept": 1.0, "precision": 0.6, "recall": 1.0}
    assert by_threshold[0.4] == {
        "threshold": 0.4,
        "kept": 0.6,
        "precision": pytest.approx(2 / 3),
        "recall": pytest.approx(2 / 3),
    }
    assert by_threshold[0.9]["precision"] == 1.0
    assert curve([0.1], [True])[-1]["precision"] is None
