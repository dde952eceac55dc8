"""Noise on the teacher's logits: by hand, and the same whatever the batch."""

import hashlib
import math
import struct

import numpy as np
import pytest
import torch
from scipy.stats import kstest, norm

from kdbench.divergence import forward_kl
from kdbench.generate.row.noise import step_keys
from kdbench.methods.kd import KD
from kdbench.training import Batch, Chunk, Match, Plan, Rollout
from kdbench.training.noise import NoisyMatch, gaussian

_WORD = 2**32


def by_hand(example: str, place: int, token: int) -> float:
    """The noise in Python's own integers: lowbias32 with a second key, then the quantile."""
    digest = hashlib.shake_128(f"0\0{example}".encode()).digest(8 * (place + 1))
    first, second = struct.unpack("<II", digest[8 * place : 8 * place + 8])
    bits = (token * 0x2545F491 + first) % _WORD
    bits = ((bits ^ (bits >> 16)) * 0x7FEB352D + second) % _WORD
    bits = (bits ^ (bits >> 15)) * 0x846CA68B % _WORD
    bits ^= bits >> 16
    return float(norm.ppf(((bits & 0x7FFFFFFF) + 0.5) / 2**31))


def rollout(example: str, length: int) -> Rollout:
    return Rollout(example, (1,), tuple(range(length)), "dataset")


def chunk_of(rollouts: list[Rollout], z_p: torch.Tensor, z_q: torch.Tensor, **of: float) -> Chunk:
    batch = Batch(rollouts)
    plan = Plan(batch, lambda kind, view: torch.zeros(0), {})
    planned = NoisyMatch(**of).plan(plan)
    flat = {name: values[batch.mask] for name, values in planned.items()}
    return Chunk(z_q, {"teacher": z_p}, batch.targets, flat)


def test_noise_is_that_of_the_example_and_place() -> None:
    keys = torch.from_numpy(step_keys(0, "row 7", 3).copy())
    noise = gaussian(keys, 5)
    wanted = [[by_hand("row 7", place, token) for token in range(5)] for place in range(3)]
    assert noise.numpy() == pytest.approx(np.array(wanted), abs=2e-5)


def test_noise_is_standard_normal_and_finite() -> None:
    noise = gaussian(torch.from_numpy(step_keys(0, "a", 400).copy()), 512).double().numpy()
    assert np.isfinite(noise).all()
    assert kstest(noise.ravel(), "norm").pvalue > 0.01
    assert abs(np.corrcoef(noise[:-1].ravel(), noise[1:].ravel())[0, 1]) < 0.01


def test_uniforms_that_round_to_one_have_a_finite_normal(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = torch.tensor([[-torch.inf, -10.0, 0.0, 22.0]])
    monkeypatch.setattr("kdbench.training.noise.gumbel", lambda keys, vocabulary: ends)
    noise = gaussian(torch.zeros(1, 2, dtype=torch.int32), 4)
    assert noise.isfinite().all()
    assert noise[0, 2].item() == pytest.approx(norm.ppf(1 - math.exp(-1)), abs=1e-6)


def test_loss_by_hand_with_a_temperature() -> None:
    z_p, z_q = torch.tensor([[1.0, -1.0]]), torch.tensor([[0.5, 0.25]])
    chunk = chunk_of([rollout("x", 1)], z_p, z_q)
    loss = NoisyMatch(forward_kl, temperature=2.0, noise=3.0).token(chunk)
    noisy = [1.0 + 3 * by_hand("x", 0, 0), -1.0 + 3 * by_hand("x", 0, 1)]
    p = 1 / (1 + math.exp((noisy[1] - noisy[0]) / 2))
    q = 1 / (1 + math.exp((0.25 - 0.5) / 2))
    wanted = 4 * (p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q)))
    assert loss.item() == pytest.approx(wanted, rel=1e-4)


def test_noise_does_not_depend_on_the_batch() -> None:
    torch.manual_seed(0)
    z_p, z_q = torch.randn(5, 16), torch.randn(5, 16)
    objective = NoisyMatch(noise=2.0)
    both = objective.token(chunk_of([rollout("a", 2), rollout("b", 3)], z_p, z_q))
    alone = objective.token(chunk_of([rollout("b", 3)], z_p[2:], z_q[2:]))
    assert torch.equal(both[2:], alone)


def test_without_noise_kd_is_what_it_was() -> None:
    match = KD(kd_ratio=1).triple().terms[0].objective
    assert type(match) is Match
    noisy = KD(kd_ratio=1, teacher_noise=2.0, temperature=3.0).triple().terms[0].objective
    assert noisy == NoisyMatch(forward_kl, temperature=3.0, noise=2.0)
    assert not noisy.takes_top_k
