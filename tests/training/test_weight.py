"""Token weights, against slow code and hand-computed values; padding never counts."""

import math

import numpy as np
import pytest
import torch

from kdbench.training.weight import clipped_ratio_loss, mean_of_rest, whitened

LENGTHS = (5, 1, 8, 3)


def padded(seed, lengths=LENGTHS, width=None, filler=0.0):
    """Random rewards and the mask of rows with the given lengths; padding holds `filler`."""
    generator = torch.Generator().manual_seed(seed)
    width = width or max(lengths)
    mask = torch.arange(width) < torch.tensor(lengths)[:, None]
    rewards = torch.full((len(lengths), width), filler, dtype=torch.float64)
    count = sum(lengths)
    rewards[mask] = torch.randn(count, generator=generator, dtype=torch.float64)
    return rewards, mask


def naive_mean_of_rest(row, discount, normalise):
    means = []
    for t in range(len(row)):
        total = sum(discount ** (k - t) * row[k] for k in range(t, len(row)))
        means.append(total / (len(row) - t) if normalise else total)
    return means


@pytest.mark.parametrize("discount", [0.0, 0.5, 0.95, 1.0])
@pytest.mark.parametrize("normalise", [True, False])
def test_the_mean_of_the_rest_equals_a_double_loop(discount, normalise):
    rewards, mask = padded(0)
    actual = mean_of_rest(rewards, mask, discount, normalise)
    for row, length in enumerate(LENGTHS):
        expected = naive_mean_of_rest(rewards[row, :length].tolist(), discount, normalise)
        assert actual[row, :length].tolist() == pytest.approx(expected)


def test_the_mean_of_the_rest_normalises_by_default():
    rewards, mask = torch.tensor([[4.0, 2.0, 6.0]]), torch.ones(1, 3, dtype=torch.bool)
    assert mean_of_rest(rewards, mask, 1.0).tolist() == [[4.0, 4.0, 6.0]]
    assert mean_of_rest(rewards, mask, 0.5, normalise=False).tolist() == [[6.5, 5.0, 6.0]]
    assert mean_of_rest(rewards, mask, 0.0, normalise=False).tolist() == rewards.tolist()


@pytest.mark.parametrize("filler", [0.0, 7.0, -1e6])
@pytest.mark.parametrize("width", [8, 40])
def test_padding_does_not_change_the_mean_of_the_rest(filler, width):
    expected = mean_of_rest(*padded(1), 0.95)[:, :8]
    rewards, mask = padded(1, width=width, filler=filler)
    actual = mean_of_rest(rewards, mask, 0.95)
    assert torch.allclose(actual[:, :8], expected, atol=1e-12)
    assert (actual[~mask] == 0).all()


@pytest.mark.parametrize("discount", [0.1, 0.5, 0.95])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_power_of_the_discount_underflows_on_a_long_row(discount, dtype):
    rewards = torch.ones(1, 5000, dtype=dtype)
    actual = mean_of_rest(rewards, torch.ones(1, 5000, dtype=torch.bool), discount, normalise=False)
    assert torch.isfinite(actual).all()
    # A geometric sum: everywhere but near the end it has converged.
    assert float(actual[0, 0]) == pytest.approx(1 / (1 - discount), rel=1e-5)
    assert float(actual[0, 4000]) == pytest.approx(1 / (1 - discount), rel=1e-5)
    assert float(actual[0, -1]) == 1


def test_the_rewards_are_not_modified():
    rewards, mask = padded(2, filler=3.0)
    before = rewards.clone()
    mean_of_rest(rewards, mask, 0.9)
    whitened(rewards, mask)
    assert torch.equal(rewards, before)


def test_whitened_values_have_mean_zero_and_variance_one_over_the_mask():
    values, mask = padded(3)
    actual = whitened(5 * values + 2, mask)
    assert float(actual[mask].mean()) == pytest.approx(0, abs=1e-12)
    assert float(actual[mask].var(unbiased=False)) == pytest.approx(1)
    flat = values[mask].numpy()
    expected = (flat - flat.mean()) / flat.std()
    assert np.allclose(actual[mask].numpy(), expected)


def test_values_of_two_processes_are_whitened_together():
    """Each process asks for two sums: of count and total, and of the squares."""
    values, mask = padded(3)
    expected = whitened(values, mask)
    halves = [(values[:2], mask[:2]), (values[2:], mask[2:])]
    flat = [part[kept].double() for part, kept in halves]
    mean = values[mask].double().mean()
    sums = [
        [float(sum(part.numel() for part in flat)), float(sum(part.sum() for part in flat))],
        [float(sum((part - mean).square().sum() for part in flat))],
    ]
    for (part, kept), rows in zip(halves, (slice(2), slice(2, None)), strict=True):
        answers = iter(sums)
        found = whitened(part, kept, lambda _, answers=answers: next(answers))
        assert torch.allclose(found, expected[rows])


@pytest.mark.parametrize("filler", [0.0, 100.0, -1e6])
@pytest.mark.parametrize("width", [8, 60])
def test_padding_does_not_change_whitened_values(filler, width):
    reference, mask = padded(4)
    expected = whitened(reference, mask)
    values, wide_mask = padded(4, width=width, filler=filler)
    actual = whitened(values, wide_mask)
    assert torch.allclose(actual[:, :8], expected)
    assert (actual[~wide_mask] == 0).all()


@pytest.mark.parametrize("values", [[[3.0]], [[2.0, 2.0, 2.0]]])
def test_equal_values_whiten_to_zero(values):
    values = torch.tensor(values)
    assert torch.equal(whitened(values, torch.ones_like(values).bool()), torch.zeros_like(values))


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "slope"),
    [
        (1.0, 1.5, -1.5, -1.5),
        (1.1, 1.5, -1.65, -1.5),
        (1.4, 1.5, -1.8, 0.0),  # good and already likelier: clipped at 1.2
        (1.4, -1.5, 2.1, 1.5),  # bad and likelier: the whole ratio counts
        (0.5, 1.5, -0.75, -1.5),  # good and less likely: the whole ratio counts
        (0.5, -1.5, 1.2, 0.0),  # bad and already less likely: clipped at .8
        (0.9, -1.5, 1.35, 1.5),
        (1.3, 0.0, 0.0, 0.0),
    ],
)
def test_the_clipped_ratio_loss_worked_out_by_hand(ratio, advantage, loss, slope):
    at = torch.tensor(ratio, dtype=torch.float64, requires_grad=True)
    actual = clipped_ratio_loss(at, torch.tensor(advantage, dtype=torch.float64), 0.2)
    actual.backward()
    assert float(actual.detach()) == pytest.approx(loss)
    assert float(at.grad) == pytest.approx(slope)


def test_the_clipped_ratio_loss_is_elementwise_and_takes_any_clip():
    ratio, advantage = torch.tensor([1.4, 1.4]), torch.tensor([1.0, -1.0])
    actual = clipped_ratio_loss(ratio, advantage, 0.3).tolist()
    assert actual == pytest.approx([-1.3, 1.4])
    assert math.isclose(float(clipped_ratio_loss(ratio, advantage, 10.0)[0]), -1.4, rel_tol=1e-6)
