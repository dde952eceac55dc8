"""Token indices are partitioned into buckets, finer at the start."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdbench.fidelity.buckets import bucket_starts, bucket_sums


def test_the_first_16_indices_have_one_bucket_each_then_four_per_doubling() -> None:
    assert bucket_starts(100) == [*range(16), 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96]


@pytest.mark.parametrize(
    ("limit", "last"), [(1, 0), (15, 14), (16, 15), (17, 16), (20, 16), (21, 20)]
)
def test_no_bucket_starts_at_the_limit_or_beyond(limit: int, last: int) -> None:
    starts = bucket_starts(limit)
    assert starts[0] == 0
    assert starts[-1] == last


def test_a_long_text_has_few_buckets() -> None:
    assert len(bucket_starts(2**15)) == 16 + 4 * 11


@given(st.integers(1, 300), st.integers(1, 400), st.integers(0, 2**32 - 1))
def test_bucket_sums_equal_those_of_a_loop(limit: int, length: int, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=length)
    starts = bucket_starts(limit)
    edges = [*starts, limit]
    sums = bucket_sums(values, starts, limit)
    for place, (start, stop) in enumerate(pairwise(edges)):
        bucket = values[start:stop]
        assert sums[place] == pytest.approx(bucket.sum(), abs=1e-12)
