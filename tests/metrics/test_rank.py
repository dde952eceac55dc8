"""Rank correlations on the teacher's 50 most likely tokens, compared with scipy's."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from kdbench.metrics import Positions, metrics

SCIPY = {
    "spearman": lambda a, b: stats.spearmanr(a, b).statistic,
    "kendall": lambda a, b: stats.kendalltau(a, b, variant="b").statistic,
    "pearson": lambda a, b: stats.pearsonr(a, b).statistic,
}
every = pytest.mark.parametrize("name", SCIPY)
by_order = pytest.mark.parametrize("name", ["spearman", "kendall"])


def values(name, log_p, log_q):
    at = Positions(log_p, log_q, torch.zeros(len(log_p), dtype=torch.int64))
    return metrics.get(name)().values(at)


def of_scores(name, teacher, student):
    sides = [torch.tensor([side], dtype=torch.float32) for side in (teacher, student)]
    return float(values(name, *(side.log_softmax(-1) for side in sides)))


def random_logs(seed, *shape, rounded=False):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(*shape, generator=generator)
    return (logits.round() if rounded else logits).log_softmax(-1)


@pytest.mark.parametrize(("name", "expected"), [("spearman", 0.8), ("kendall", 0.6667)])
def test_values_worked_out_by_hand(name, expected):
    # The student swaps the teacher's first two tokens.
    assert of_scores(name, (3, 2, 1, 0), (2, 3, 1, 0)) == pytest.approx(expected, abs=1e-4)


@every
def test_equal_and_reversed_orders_reach_the_ends_of_the_scale(name):
    order = (3.0, 1.0, 0.5, -2.0)
    assert of_scores(name, order, order) == pytest.approx(1)
    assert of_scores(name, order, tuple(-score for score in order)) == pytest.approx(-1)


@every
@pytest.mark.parametrize("rounded", [False, True])
@pytest.mark.parametrize("vocabulary", [2, 3, 10, 50])
def test_values_equal_scipys_with_ties(name, vocabulary, rounded):
    log_p, log_q = random_logs(vocabulary, 2, 12, vocabulary, rounded=rounded)
    # scipy warns if all ranks are tied; a separate test covers that.
    use = (log_p.amax(-1) > log_p.amin(-1)) & (log_q.amax(-1) > log_q.amin(-1))
    pairs = zip(log_p[use].double().numpy(), log_q[use].double().numpy(), strict=True)
    expected = [SCIPY[name](*pair) for pair in pairs]
    actual = values(name, log_p, log_q)
    assert actual.shape == (12,)
    assert actual[use].tolist() == pytest.approx(expected, abs=1e-5)


def test_rounded_scores_contain_ties():
    log_p, log_q = random_logs(10, 2, 12, 10, rounded=True)
    for side in (log_p, log_q):
        assert any(len(set(row)) < 10 for row in side.tolist())
    # Ties by hand: mid-ranks (3.5, 3.5, 2, 1) against (4, 3, 2, 1) are .9486833, tau-b 5/sqrt(30).
    assert of_scores("spearman", (2, 2, 1, 0), (3, 2, 1, 0)) == pytest.approx(0.9486833)
    assert of_scores("kendall", (2, 2, 1, 0), (3, 2, 1, 0)) == pytest.approx(5 / 30**0.5)


@every
@pytest.mark.parametrize("vocabulary", [60, 400])
def test_only_the_teachers_top_50_are_counted(name, vocabulary):
    log_p, log_q = random_logs(vocabulary, 2, 8, vocabulary)
    expected = []
    for p, q in zip(log_p.double().numpy(), log_q.double().numpy(), strict=True):
        ids = np.argsort(-p, kind="stable")[:50]
        expected.append(SCIPY[name](p[ids], q[ids]))
    assert values(name, log_p, log_q).tolist() == pytest.approx(expected, abs=1e-5)


@by_order
def test_only_the_order_matters(name):
    log_p, log_q = random_logs(1, 2, 8, 20)
    bent = (log_q.exp() * 5).log_softmax(-1)
    assert torch.allclose(values(name, log_p, bent), values(name, log_p, log_q), atol=1e-6)


def test_shift_and_scale_of_logits_do_not_change_pearson():
    log_p, log_q = random_logs(2, 2, 8, 20)
    for scale in (0.1, 3.0):
        changed = values("pearson", log_p, (scale * log_q + 7).log_softmax(-1))
        assert torch.allclose(changed, values("pearson", log_p, log_q), atol=1e-5)


@by_order
def test_ruled_out_tokens_tie_for_the_last_rank(name):
    p = np.array([0.4, 0.3, 0.2, 0.1, 0.0, 0.0])
    q = np.array([0.3, 0.0, 0.5, 0.2, 0.0, 0.0])
    log_p, log_q = (torch.from_numpy(side)[None].float().log() for side in (p, q))
    assert float(values(name, log_p, log_q)) == pytest.approx(SCIPY[name](p, q), abs=1e-6)
    assert float(values(name, log_p, log_p)) == pytest.approx(1)


def test_pearson_with_a_ruled_out_token_is_null():
    log_p, log_q = (torch.tensor([side]).log() for side in ((0.5, 0.3, 0.2), (0.5, 0.5, 0.0)))
    assert math.isnan(values("pearson", log_p, log_q))


@every
@pytest.mark.parametrize("size", [2, 4, 8, 50])
def test_a_constant_ranking_gives_null(name, size):
    flat = torch.full((1, size), -2.0)  # their mean is exact
    other = random_logs(3, 1, size)
    for pair in ((flat, other), (other, flat), (flat, flat)):
        assert math.isnan(values(name, *pair))


@every
def test_a_constant_ranking_gives_null_at_any_size(name):
    for size in range(2, 51):
        flat, other = torch.zeros(1, size).log_softmax(-1), random_logs(size, 1, size)
        for pair in ((flat, other), (other, flat), (flat, flat)):
            assert math.isnan(values(name, *pair))


@every
def test_a_flat_position_does_not_affect_the_others(name):
    log_p, log_q = random_logs(4, 2, 3, 8)
    expected = values(name, log_p, log_q)
    log_q[1] = -2.0  # their mean is exact
    actual = values(name, log_p, log_q)
    assert math.isnan(actual[1])
    assert actual[[0, 2]].tolist() == expected[[0, 2]].tolist()


@every
def test_unit_and_direction_are_declared(name):
    metric = metrics.get(name)
    assert (metric.name, metric.unit, metric.direction) == (name, "correlation", "higher")
    assert (metric.perfect, metric.from_top_k) == (1.0, "exact")
