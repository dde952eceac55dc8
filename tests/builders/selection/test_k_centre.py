"""k-centre greedy, with the values of the reference and against a plain computation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdbench.builders.selection.parts import k_centre
from kdbench.builders.selection.parts.k_centre import KCentre, SparseVectors

POINTS = np.array([(0.9, 0.1), (0.8, 0.2), (0.5, 0.5), (0.1, 0.9), (0.2, 0.8)])


def sparse(rows):
    rows = np.atleast_2d(rows)
    places = np.tile(np.arange(rows.shape[1], dtype=np.int32), (len(rows), 1))
    return SparseVectors(places, rows)


def single(row):
    return SparseVectors(np.arange(len(row), dtype=np.int32), np.asarray(row, dtype=float))


def test_the_values_of_the_reference():
    centres = KCentre(sparse(POINTS))
    centres.take(0)
    assert centres.distances == pytest.approx([0, 0.141421, 0.565685, 1.131371, 0.989949], abs=1e-6)
    taken = centres.farthest(2)
    assert next(taken) == 3
    assert centres.distances == pytest.approx([0, 0.141421, 0.565685, 0, 0.141421], abs=1e-6)
    assert next(taken) == 2


def test_a_centre_outside_the_points_counts_with_all_of_its_numbers():
    centres = KCentre(sparse(POINTS))
    centres.add(SparseVectors(np.array([0, 7], dtype=np.int32), np.array([0.6, 0.4])))
    expected = np.sqrt((POINTS[:, 0] - 0.6) ** 2 + POINTS[:, 1] ** 2 + 0.4**2)
    assert centres.distances == pytest.approx(expected, abs=1e-12)


def test_equal_points_are_all_taken_once_in_their_order():
    centres = KCentre(sparse(np.tile([0.5, 0.5], (4, 1))))
    centres.take(2)
    assert list(centres.farthest(9)) == [0, 1, 3]
    assert not KCentre(sparse(POINTS)).has_any
    assert centres.has_any


@given(st.integers(2, 12), st.integers(1, 4), st.integers(0, 10_000))
def test_as_a_plain_computation(count, width, seed):
    rng = np.random.default_rng(seed)
    places = np.stack([rng.permutation(6)[:width] for _ in range(count)]).astype(np.int32)
    values = rng.random((count, width))
    dense = np.zeros((count, 6))
    np.put_along_axis(dense, places, values, axis=1)
    centres = KCentre(SparseVectors(places, values))
    centres.take(0)
    taken = [0, *centres.farthest(count - 1)]
    for number in range(1, count):
        gaps = np.linalg.norm(dense[:, None] - dense[None, taken[:number]], axis=-1).min(1)
        assert gaps[taken[number]] == pytest.approx(gaps.max(), abs=1e-7)
    assert sorted(taken) == list(range(count))


def test_chunks_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    rows = rng.random((50, 5))
    whole = KCentre(sparse(rows))
    whole.add(single(rng.random(5)))
    monkeypatch.setattr(k_centre, "_CHUNK", 7)
    parts = KCentre(sparse(rows))
    parts.add(single(np.random.default_rng(0).random((51, 5))[50]))
    assert list(parts.farthest(50)) == list(whole.farthest(50))
