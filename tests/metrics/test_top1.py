"""Top-1 agreement over all positions, over decisions, and where the teacher is wrong."""

import math

import numpy as np
import pytest
import torch

from kdbench.metrics import Positions, metrics


def logs(*rows):
    return torch.tensor(rows).log()


def values(name, p, q, targets=None):
    targets = torch.zeros(len(p), dtype=torch.int64) if targets is None else torch.tensor(targets)
    return metrics.get(name)().values(Positions(p, q, targets))


def random_logs(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    # Coarse enough for many ties.
    return torch.randn(*shape, generator=generator).mul(2).round().log_softmax(-1)


def test_agreement_worked_out_by_hand():
    actual = values("top1", logs((0.6, 0.4), (0.6, 0.4)), logs((0.7, 0.3), (0.4, 0.6)))
    assert actual.tolist() == [1, 0]
    assert float(actual.mean()) == 0.5


def test_ties_go_to_the_lowest_token_id():
    equal, first, second = (0.4, 0.4, 0.2), (0.5, 0.4, 0.1), (0.4, 0.5, 0.1)
    p, q = logs(equal, equal, first, second), logs(first, second, equal, equal)
    assert values("top1", p, q).tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("vocabulary", [2, 5, 40, 300])
def test_agreement_equals_numpys_argmax(vocabulary, seed):
    p, q = random_logs(seed, 2, 64, vocabulary)
    expected = p.numpy().argmax(-1) == q.numpy().argmax(-1)
    assert values("top1", p, q).tolist() == expected.astype(float).tolist()


@pytest.mark.parametrize("seed", range(5))
def test_decisions_are_where_the_teachers_entropy_is_above_one_nat(seed):
    p, q = random_logs(seed, 2, 64, 6)
    probabilities = np.exp(p.double().numpy())
    entropy = -(probabilities * np.log(probabilities)).sum(-1)
    agree = p.numpy().argmax(-1) == q.numpy().argmax(-1)
    expected = np.where(entropy > 1, agree, np.nan)
    assert 0 < np.isnan(expected).sum() < 64
    assert values("top1_decision", p, q).numpy() == pytest.approx(expected, nan_ok=True)


def test_confident_teacher_positions_are_not_decisions():
    # Entropies: ln 2 = .69, ln 3 = 1.10, 0.
    p = logs((0.5, 0.5, 0.0), (1 / 3, 1 / 3, 1 / 3), (1.0, 0.0, 0.0))
    actual = values("top1_decision", p, p)
    assert [math.isnan(value) for value in actual.tolist()] == [True, False, True]
    # The teacher's entropy decides, not the student's.
    actual = values("top1_decision", p, p.flip(0))
    assert [math.isnan(value) for value in actual.tolist()] == [True, False, True]


def test_only_positions_with_a_wrong_teacher_are_counted():
    p = logs((0.6, 0.4), (0.6, 0.4), (0.6, 0.4))
    q = logs((0.6, 0.4), (0.6, 0.4), (0.4, 0.6))
    actual = values("top1_teacher_wrong", p, q, [0, 1, 1])
    assert math.isnan(actual[0])
    assert actual[1:].tolist() == [1, 0]


@pytest.mark.parametrize("name", ["top1", "top1_decision", "top1_teacher_wrong"])
def test_each_position_has_a_float_value(name):
    p, q = random_logs(0, 2, 7, 5)
    actual = values(name, p, q)
    assert actual.shape == (7,)
    assert actual.dtype == torch.float32


@pytest.mark.parametrize(
    ("name", "direction", "sets", "headline"),
    [
        ("top1", "higher", ("ref", "teacher", "student"), "student"),
        ("top1_decision", "higher", ("ref", "teacher", "student"), "student"),
        ("top1_teacher_wrong", "none", ("ref",), "ref"),
    ],
)
def test_unit_and_direction_are_declared(name, direction, sets, headline):
    metric = metrics.get(name)
    assert (metric.unit, metric.direction, metric.perfect) == ("rate", direction, 1.0)
    assert (metric.sets, metric.headline, metric.from_top_k) == (sets, headline, "exact")
