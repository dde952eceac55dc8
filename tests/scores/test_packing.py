"""Compressed scores are the scores: every bit, or within the stated error."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdbench.scores.packing import COLUMNS, loss_of, pack, unpack

DIGEST = bytes(range(32))
NAN, INFINITE = float("nan"), float("inf")


def columns(tokens: int, k: int, seed: int = 0, scale: float = 1.0) -> dict[str, np.ndarray]:
    """Random scores of a vocabulary of 60,000 tokens."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(tokens, k + 20)) * 5 * scale
    log_p = np.sort(logits - np.log(np.exp(logits).sum(1, keepdims=True)))[:, ::-1]
    return {
        "log_p": log_p[:, :k].astype("f4"),
        "ids": random.integers(0, 60_000, (tokens, k)).astype("i4"),
        "tail": np.log(np.exp(log_p[:, k:]).sum(1)).astype("f4"),
        "entropy": random.random(tokens).astype("f4"),
        "target": log_p[:, 0].astype("f4"),
    }


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 99), st.sampled_from([0.0, 1.0, 3.0]))
@settings(max_examples=60, deadline=None)
def test_every_bit_comes_back(tokens: int, k: int, seed: int, scale: float) -> None:
    exact = columns(tokens, k, seed, scale)
    stored = unpack(pack(exact, DIGEST), DIGEST, tokens)
    assert list(stored) == list(COLUMNS)
    for name, column in exact.items():
        assert stored[name].dtype == column.dtype
        assert stored[name].tobytes() == column.tobytes()
        assert stored[name].flags.writeable


def test_numbers_that_are_not_finite_come_back() -> None:
    odd = np.array([NAN, -INFINITE, INFINITE, -0.0, 0.0, -1e30], "f4")
    exact = {**columns(6, 2), "tail": odd, "entropy": odd, "target": odd}
    exact["log_p"][0] = (0.0, -INFINITE)
    stored = unpack(pack(exact, DIGEST), DIGEST, 6)
    for name, column in exact.items():
        assert stored[name].tobytes() == column.tobytes()
    near = unpack(pack(exact, DIGEST, 0.001), DIGEST, 6)
    assert near["log_p"][0].tolist() == [0.0, -INFINITE]
    np.testing.assert_array_equal(near["tail"], [NAN, -INFINITE, INFINITE, 0, 0, -INFINITE])


@given(st.floats(1e-4, 0.5), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_the_error_is_the_stated_one_at_most(most: float, seed: int) -> None:
    exact = columns(7, 5, seed)
    stored = unpack(pack(exact, DIGEST, most), DIGEST, 7)
    assert stored["ids"].tolist() == exact["ids"].tolist()
    for name in ("log_p", "tail", "entropy", "target"):
        assert stored[name].dtype == np.float32
        assert np.abs(stored[name].astype("f8") - exact[name]).max() <= most
    loss = loss_of(exact, stored)
    assert 0 < loss.error <= most
    p = np.exp(np.c_[exact["log_p"], exact["tail"]].astype("f8"))
    q = np.exp(np.c_[stored["log_p"], stored["tail"]].astype("f8"))
    p, q = p / p.sum(1, keepdims=True), q / q.sum(1, keepdims=True)
    assert loss.kl == pytest.approx((p * np.log(p / q)).sum(), abs=1e-9)
    assert loss_of(exact, exact)[:2] == (0, 0)
    assert loss.tokens == 7


def test_a_larger_error_takes_fewer_bytes() -> None:
    exact = columns(50, 64)
    sizes = [len(pack(exact, DIGEST, most)) for most in (0.0, 0.001, 0.01, 0.1)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] < 50 * (8 * 64 + 12) * 0.65
    assert len(set(sizes)) == 4


@pytest.mark.parametrize("place", [0, 5, 10, 30, -1])
def test_a_changed_byte_and_a_foreign_text_are_seen(place: int) -> None:
    content = bytearray(pack(columns(4, 3), DIGEST))
    with pytest.raises(ValueError, match="not what was written"):
        unpack(bytes(content), DIGEST[::-1], 4)
    content[place] ^= 1
    with pytest.raises(ValueError, match="not what was written"):
        unpack(bytes(content), DIGEST, 4)
    with pytest.raises(ValueError, match="not what was written"):
        unpack(b"", DIGEST, 4)
