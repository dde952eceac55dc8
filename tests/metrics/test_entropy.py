"""The entropy ratio is a ratio of sums, not a mean of ratios."""

import math

import numpy as np
import pytest
import torch

from kdbench.metrics import Positions, metrics


def logs(*rows):
    return torch.tensor(rows).log()


def sums(log_p, log_q):
    targets = torch.zeros(len(log_p), dtype=torch.int64)
    return metrics.get("entropy_ratio")().sums(Positions(log_p, log_q, targets))


def ratio(of):
    return metrics.get("entropy_ratio")().value(np.asarray(of, dtype=np.float64))


def random_logs(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    return (3 * torch.randn(*shape, generator=generator)).log_softmax(-1)


def test_values_worked_out_by_hand():
    open_, narrow, sure = (0.25, 0.25, 0.25, 0.25), (0.5, 0.5, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0)
    position_sums = sums(logs(open_, narrow, sure), logs(narrow, narrow, sure))
    two = math.log(2)
    assert position_sums.flatten().tolist() == pytest.approx([two, 2 * two, two, two, 0, 0])
    # (1 + 1 + 0) / (2 + 1 + 0) nats of ln 2; the mean of ratios would be (.5 + 1 + ?) / 3.
    assert float(ratio(position_sums.sum(0))) == pytest.approx(2 / 3)


@pytest.mark.parametrize("seed", range(5))
def test_values_equal_those_of_numpy(seed):
    log_p, log_q = random_logs(seed, 2, 12, 40)
    total = {}
    for side, log_probs in (("p", log_p), ("q", log_q)):
        probabilities = np.exp(log_probs.double().numpy())
        total[side] = -(probabilities * np.log(probabilities)).sum()
    position_sums = sums(log_p, log_q)
    assert position_sums.shape == (12, 2)
    assert float(ratio(position_sums.sum(0))) == pytest.approx(total["q"] / total["p"], rel=1e-5)


def test_a_sharper_student_is_below_one_and_a_flatter_one_above():
    logits = random_logs(1, 20, 30)
    for scale, above in ((2.0, False), (0.5, True)):
        position_sums = sums(logits, (scale * logits).log_softmax(-1))
        assert (float(ratio(position_sums.sum(0))) > 1) == above


def test_without_positions_the_ratio_is_null():
    assert math.isnan(ratio([0.0, 0.0]))


def test_sums_are_computed_in_a_batch():
    actual = ratio([[[1.0, 2.0], [3.0, 2.0]], [[0.0, 1.0], [0.0, 0.0]]])
    assert actual.shape == (2, 2)
    assert actual.flatten() == pytest.approx([0.5, 1.5, 0.0, math.nan], nan_ok=True)


def test_the_ratio_has_no_direction():
    metric = metrics.get("entropy_ratio")
    assert (metric.unit, metric.direction, metric.perfect) == ("ratio", "none", 1.0)
    assert metric.from_top_k == "exact"
