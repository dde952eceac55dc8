"""Inputs of a token metric: rankings, and distributions, complete or from the teacher's top k."""

import math

import numpy as np
import pytest
import torch

from kdbench.metrics import Positions
from kdbench.metrics._positions import TopPositions, top


def random_logs(seed, *shape, spread=3.0):
    generator = torch.Generator().manual_seed(seed)
    return (spread * torch.randn(*shape, generator=generator)).log_softmax(-1)


def random_targets(seed, n, vocabulary):
    return torch.randint(0, vocabulary, (n,), generator=torch.Generator().manual_seed(seed))


def rounded_logs(seed, *shape):
    """Log-probabilities from bfloat16 logits, many of which are equal."""
    logits = 3 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return logits.bfloat16().float().log_softmax(-1)


def ranking(log_probs, k):
    return np.argsort(-log_probs.double().numpy(), axis=-1, kind="stable")[:, :k]


def numpy_entropy(log_probs):
    p = np.exp(log_probs.double().numpy())
    return -np.where(p > 0, p * np.log(np.where(p > 0, p, 1)), 0).sum(-1)


def both(seed, n=6, vocabulary=20):
    log_p = random_logs(seed, n, vocabulary)
    log_q = random_logs(seed + 100, n, vocabulary)
    return log_p, log_q, random_targets(seed, n, vocabulary)


def cached(log_p, log_q, targets, k, **other):
    """Positions with only the teacher's k most likely tokens, as in a cache."""
    ids = torch.from_numpy(ranking(log_p, k))
    tail = log_p.double().scatter(-1, ids, -math.inf).logsumexp(-1).float()
    entropy = torch.from_numpy(numpy_entropy(log_p)).float()
    chosen = log_p.gather(-1, targets[:, None])[:, 0]
    return TopPositions(log_p.gather(-1, ids), ids, tail, entropy, chosen, log_q, targets, **other)


# Rankings


@pytest.mark.parametrize("k", [1, 2, 5, 50, 100])
@pytest.mark.parametrize("vocabulary", [2, 7, 50, 51, 400])
def test_the_ranking_is_the_start_of_the_sorted_vocabulary(vocabulary, k):
    log_probs = random_logs(vocabulary, 9, vocabulary)
    values, ids = top(log_probs, k)
    expected = ranking(log_probs, k)
    assert values.shape == ids.shape == (9, min(k, vocabulary))
    assert ids.tolist() == expected.tolist()
    assert torch.equal(values, log_probs.gather(-1, torch.from_numpy(expected)))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("vocabulary", [2, 7, 50])
def test_ties_are_ordered_by_token_id(vocabulary, seed):
    log_probs = rounded_logs(seed, 20, vocabulary)
    log_probs[0] = -math.log(vocabulary)
    log_probs[1, ::2] = log_probs[1, 0]
    assert top(log_probs, 50)[1].tolist() == ranking(log_probs, 50).tolist()


def test_ties_worked_out_by_hand():
    log_probs = torch.tensor([[0.2, 0.3, 0.2, 0.3], [0.0, 0.0, 0.5, 0.5]]).log()
    values, ids = top(log_probs, 4)
    assert ids.tolist() == [[1, 3, 0, 2], [2, 3, 0, 1]]
    assert values.exp().tolist() == [
        pytest.approx([0.3, 0.3, 0.2, 0.2]),
        pytest.approx([0.5, 0.5, 0.0, 0.0]),
    ]


@pytest.mark.parametrize("k", [1, 5, 50])
@pytest.mark.parametrize("vocabulary", [60, 1000, 5000])
def test_a_ranking_that_ends_within_a_tie_has_the_right_probabilities(vocabulary, k):
    log_probs = rounded_logs(0, 20, vocabulary)
    values, ids = top(log_probs, k)
    expected = torch.from_numpy(ranking(log_probs, k))
    assert torch.equal(values, log_probs.gather(-1, expected))
    assert torch.equal(values, log_probs.gather(-1, ids))
    assert all(len(set(row)) == k for row in ids.tolist())
    above = values > values[:, -1:]
    assert torch.equal(ids[above], expected[above])
    rising = ids[:, 1:] > ids[:, :-1]
    assert (rising | (values[:, 1:] < values[:, :-1])).all()


@pytest.mark.parametrize("k", [5, 50])
@pytest.mark.parametrize("vocabulary", [1000, 5000])
def test_a_ranking_that_ends_within_a_tie_keeps_the_lowest_ids(vocabulary, k):
    log_probs = rounded_logs(0, 40, vocabulary)
    assert top(log_probs, k)[1].tolist() == ranking(log_probs, k).tolist()


@pytest.mark.parametrize("k", [1, 50])
def test_uniform_probabilities_are_ranked_by_token_id(k):
    assert top(torch.full((1, 60), -math.log(60)), k)[1].tolist() == [list(range(k))]


def test_a_shorter_ranking_is_the_start_of_a_longer_one():
    log_p, log_q, targets = both(1, vocabulary=80)
    at = Positions(log_p, log_q, targets)
    for short, long in (
        (at.teacher_top(5), at.teacher_top(50)),
        (at.student_top(1), at.student_top(10)),
    ):
        k = short[0].shape[1]
        assert torch.equal(short[0], long[0][:, :k])
        assert torch.equal(short[1], long[1][:, :k])


# Complete distributions


@pytest.mark.parametrize("vocabulary", [2, 20, 70])
def test_position_quantities_equal_those_of_numpy(vocabulary):
    log_p, log_q, targets = both(2, vocabulary=vocabulary)
    at = Positions(log_p, log_q, targets)
    assert at.teacher_entropy.numpy() == pytest.approx(numpy_entropy(log_p), abs=1e-5)
    assert at.student_entropy.numpy() == pytest.approx(numpy_entropy(log_q), abs=1e-5)
    rows = np.arange(len(targets))
    assert at.target_log_p.tolist() == log_p.numpy()[rows, targets].tolist()
    assert at.target_log_q.tolist() == log_q.numpy()[rows, targets].tolist()
    for log_probs, likeliest in ((log_p, at.teacher_top), (log_q, at.student_top)):
        values, ids = likeliest(3)
        assert ids.tolist() == ranking(log_probs, 3).tolist()
        assert torch.equal(values, log_probs.gather(-1, ids))


def test_probabilities_of_any_tokens_in_any_order():
    log_p, log_q, targets = both(3)
    at = Positions(log_p, log_q, targets)
    ids = torch.tensor([[4, 0, 4]]).expand(6, -1)
    assert torch.equal(at.teacher_log_prob(ids), log_p[:, [4, 0, 4]])
    assert torch.equal(at.student_log_prob(ids), log_q[:, [4, 0, 4]])


def test_a_ruled_out_token_adds_no_entropy():
    log_p = torch.tensor([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]]).log()
    at = Positions(log_p, log_p, torch.tensor([0, 0]))
    assert at.teacher_entropy.tolist() == pytest.approx([math.log(2), 0])
    assert at.student_entropy.tolist() == pytest.approx([math.log(2), 0])


def test_the_reference_is_the_default_position_set():
    log_p, log_q, targets = both(4)
    assert Positions(log_p, log_q, targets).set == "ref"
    assert Positions(log_p, log_q, targets, "student").set == "student"
    assert cached(log_p, log_q, targets, 3).set == "ref"
    assert cached(log_p, log_q, targets, 3, set="teacher").set == "teacher"


# The teacher's top k


@pytest.mark.parametrize("k", [1, 3, 19, 20])
def test_the_coarse_classes_are_the_top_tokens_and_a_remainder(k):
    log_p, log_q, targets = both(5)
    at = cached(log_p, log_q, targets, k)
    ids = ranking(log_p, k)
    assert at.log_p.shape == at.log_q.shape == (6, k + 1)
    for coarse, whole in ((at.log_p, log_p), (at.log_q, log_q)):
        assert coarse.double().exp().sum(-1).numpy() == pytest.approx(np.ones(6), abs=1e-6)
        probabilities = np.exp(whole.double().numpy())
        named = np.take_along_axis(probabilities, ids, -1)
        expected = np.concatenate([named, 1 - named.sum(-1, keepdims=True)], -1)
        assert coarse.double().exp().numpy() == pytest.approx(expected, abs=1e-6)


def test_cached_quantities_equal_those_of_the_full_distribution():
    log_p, log_q, targets = both(6)
    whole, at = Positions(log_p, log_q, targets), cached(log_p, log_q, targets, 2)
    assert torch.allclose(at.teacher_entropy, whole.teacher_entropy, atol=1e-5)
    assert torch.equal(at.target_log_p, whole.target_log_p)
    assert (ranking(log_p, 2) != targets[:, None].numpy()).all(-1).any()  # some are not cached


def test_the_students_distribution_is_complete():
    log_p, log_q, targets = both(7)
    whole, at = Positions(log_p, log_q, targets), cached(log_p, log_q, targets, 2)
    assert at.student_entropy.numpy() == pytest.approx(numpy_entropy(log_q), abs=1e-5)
    assert torch.equal(at.target_log_q, whole.target_log_q)
    for k in (1, 5, 20):
        assert torch.equal(at.student_top(k)[0], whole.student_top(k)[0])
        assert torch.equal(at.student_top(k)[1], whole.student_top(k)[1])
    ids = torch.arange(20).expand(6, -1)
    assert torch.equal(at.student_log_prob(ids), log_q)


@pytest.mark.parametrize("k", [1, 4, 20])
def test_the_teachers_probability_outside_the_top_k_counts_as_zero(k):
    log_p, log_q, targets = both(8)
    actual = cached(log_p, log_q, targets, k).teacher_log_prob(torch.arange(20).expand(6, -1))
    inside = torch.zeros(6, 20, dtype=torch.bool)
    inside.scatter_(-1, torch.from_numpy(ranking(log_p, k)), True)
    assert torch.equal(actual[inside], log_p[inside])
    assert (actual[~inside] == -math.inf).all()


def test_the_teachers_ranking_covers_its_cached_tokens():
    log_p, log_q, targets = both(9)
    values, ids = cached(log_p, log_q, targets, 4).teacher_top(3)
    assert ids.tolist() == ranking(log_p, 3).tolist()
    assert torch.equal(values, log_p.gather(-1, ids))


def test_a_student_without_other_tokens_has_an_empty_remainder():
    log_q = torch.tensor([[0.75, 0.25, 0.0, 0.0]]).log()
    log_p = torch.tensor([[0.6, 0.3, 0.08, 0.02]]).log()
    at = cached(log_p, log_q, torch.tensor([0]), 2)
    assert at.log_q.exp()[0].tolist() == pytest.approx([0.75, 0.25, 0])
    assert float(at.log_q[0, -1]) == -math.inf
    assert float(at.student_entropy) == pytest.approx(float(numpy_entropy(log_q)[0]))
