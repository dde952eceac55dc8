"""Overlap of the most likely tokens, hits, and the teacher's mass on the student's top k."""

import numpy as np
import pytest
import torch

from kdbench.metrics import Positions, metrics
from kdbench.metrics._positions import TopPositions, top
from kdbench.metrics.topk import _Overlap

OVERLAPS, HITS, MASSES = (5, 10, 50), (5, 10), (1, 5, 10, 50)


class Overlap3(_Overlap):
    name = "overlap_3"
    size = 3


def logs(*rows):
    return torch.tensor(rows).log()


def values(metric, log_p, log_q):
    metric = metrics.get(metric) if isinstance(metric, str) else metric
    return metric().values(Positions(log_p, log_q, torch.zeros(len(log_p), dtype=torch.int64)))


def random_logs(seed, *shape, spread=3.0):
    generator = torch.Generator().manual_seed(seed)
    return (spread * torch.randn(*shape, generator=generator)).log_softmax(-1)


def sides(vocabulary, spread=3.0):
    """A teacher and a student close to it."""
    log_p = random_logs(vocabulary, 16, vocabulary, spread=spread)
    return log_p, (log_p + random_logs(vocabulary + 1, 16, vocabulary)).log_softmax(-1)


def ranking(log_probs, k):
    return [list(row) for row in np.argsort(-log_probs.numpy(), axis=-1, kind="stable")[:, :k]]


everywhere = pytest.mark.parametrize("vocabulary", [2, 7, 50, 60, 400])


def test_overlap_worked_out_by_hand():
    # The teacher's three are a, b, c; the student's b, c, d.
    log_p = logs((0.4, 0.3, 0.2, 0.06, 0.04))
    log_q = logs((0.1, 0.3, 0.3, 0.25, 0.05))
    assert values(Overlap3, log_p, log_q).tolist() == pytest.approx([2 / 3])


def test_the_order_within_the_top_k_does_not_matter():
    log_p, log_q = logs((0.5, 0.3, 0.15, 0.05)), logs((0.15, 0.3, 0.5, 0.05))
    assert values(Overlap3, log_p, log_q).tolist() == [1]


@everywhere
@pytest.mark.parametrize("size", OVERLAPS)
def test_overlap_is_the_share_of_shared_tokens(size, vocabulary):
    log_p, log_q = sides(vocabulary)
    pairs = zip(ranking(log_p, size), ranking(log_q, size), strict=True)
    expected = [len(set(a) & set(b)) / min(size, vocabulary) for a, b in pairs]
    actual = values(f"overlap_{size}", log_p, log_q)
    assert actual.shape == (16,)
    assert actual.tolist() == pytest.approx(expected)


@everywhere
@pytest.mark.parametrize("size", HITS)
def test_a_hit_is_the_teachers_top_token_in_the_students_top_k(size, vocabulary):
    log_p, log_q = sides(vocabulary, spread=1.0)
    pairs = zip(ranking(log_p, 1), ranking(log_q, size), strict=True)
    actual = values(f"hit_{size}", log_p, log_q)
    assert actual.tolist() == [float(a[0] in b) for a, b in pairs]
    if vocabulary == 60:
        assert 0 < float(actual.mean()) < 1


def test_hits_worked_out_by_hand():
    student = (0.3, 0.2, 0.15, 0.12, 0.11, 0.08, 0.04)
    fifth = (0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0)
    sixth = (0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    assert values("hit_5", logs(fifth, sixth), logs(student, student)).tolist() == [1, 0]
    assert values("hit_10", logs(fifth, sixth), logs(student, student)).tolist() == [1, 1]


@everywhere
@pytest.mark.parametrize("size", MASSES)
def test_mass_is_the_teachers_probability_of_the_students_top_k(size, vocabulary):
    log_p, log_q = sides(vocabulary)
    p = np.exp(log_p.double().numpy())
    expected = [p[row, ids].sum() for row, ids in enumerate(ranking(log_q, size))]
    actual = values(f"mass_{size}", log_p, log_q)
    assert actual.numpy() == pytest.approx(np.array(expected), abs=1e-5)
    assert float(actual.max()) <= 1


def test_mass_worked_out_by_hand():
    p, q = (0.6, 0.3, 0.08, 0.02), (0.2, 0.3, 0.1, 0.4)
    assert values("mass_1", logs(p), logs(q)).tolist() == pytest.approx([0.02])
    assert values("mass_5", logs(p), logs(q)).tolist() == pytest.approx([1])


def test_mass_grows_with_the_number_of_tokens():
    log_p, log_q = sides(400)
    actual = torch.stack([values(f"mass_{size}", log_p, log_q) for size in MASSES])
    assert (actual.diff(dim=0) >= 0).all()


# The teacher's nucleus


def nucleus_overlap(log_p, log_q):
    """Overlap over the fewest tokens that hold .95 of the teacher's mass, at most 50."""
    overlaps = []
    for p, its, ours in zip(
        np.exp(log_p.double().numpy()), ranking(log_p, 50), ranking(log_q, 50), strict=True
    ):
        size, mass = 0, 0.0
        while mass < 0.95 and size < len(its):
            mass += p[its[size]]
            size += 1
        overlaps.append(len(set(its[:size]) & set(ours[:size])) / size)
    return overlaps


@everywhere
@pytest.mark.parametrize("spread", [0.1, 1.0, 3.0, 10.0])
def test_the_nucleus_sets_the_number_of_compared_tokens(vocabulary, spread):
    log_p, log_q = sides(vocabulary, spread)
    actual = values("overlap_nucleus", log_p, log_q)
    assert actual.shape == (16,)
    assert actual.tolist() == pytest.approx(nucleus_overlap(log_p, log_q))


@pytest.mark.parametrize(
    ("teacher", "student", "expected"),
    [
        ((0.96, 0.02, 0.01, 0.01), (0.5, 0.2, 0.2, 0.1), 1),
        ((0.96, 0.02, 0.01, 0.01), (0.2, 0.5, 0.2, 0.1), 0),
        ((0.9, 0.06, 0.02, 0.02), (0.5, 0.2, 0.1, 0.2), 1),
        ((0.9, 0.06, 0.02, 0.02), (0.5, 0.1, 0.2, 0.2), 1 / 2),
        ((0.9, 0.06, 0.02, 0.02), (0.1, 0.2, 0.3, 0.4), 0),
        ((0.4, 0.3, 0.27, 0.03), (0.1, 0.2, 0.3, 0.4), 2 / 3),
        ((1.0, 0.0, 0.0, 0.0), (0.25, 0.25, 0.25, 0.25), 1),
    ],
)
def test_the_nucleus_worked_out_by_hand(teacher, student, expected):
    actual = values("overlap_nucleus", logs(teacher), logs(student))
    assert actual.tolist() == pytest.approx([expected])


# A teacher's top-k


def from_top_k(name, log_p, log_q, k):
    known, ids = top(log_p, k)
    tail = log_p.scatter(-1, ids, -torch.inf).logsumexp(-1)
    whole = Positions(log_p, log_q, torch.zeros(len(log_p), dtype=torch.int64))
    at = TopPositions(
        known, ids, tail, whole.teacher_entropy, whole.target_log_p, log_q, whole.targets
    )
    return metrics.get(name)().values(at)


@pytest.mark.parametrize("name", ["overlap_5", "overlap_10", "overlap_50", "overlap_nucleus"])
@pytest.mark.parametrize("k", [50, 64, 100])
def test_overlap_is_exact_from_a_top_k_of_fifty(name, k):
    log_p, log_q = sides(400)
    assert torch.equal(from_top_k(name, log_p, log_q, k), values(name, log_p, log_q))


@pytest.mark.parametrize("size", [5, 10])
def test_overlap_is_exact_from_its_own_k(size):
    log_p, log_q = sides(400)
    name = f"overlap_{size}"
    assert torch.equal(from_top_k(name, log_p, log_q, size), values(name, log_p, log_q))


@pytest.mark.parametrize("name", ["hit_5", "hit_10"])
def test_hits_need_only_the_first_token(name):
    log_p, log_q = sides(400)
    assert torch.equal(from_top_k(name, log_p, log_q, 1), values(name, log_p, log_q))


@pytest.mark.parametrize("size", MASSES)
def test_mass_outside_the_top_k_is_unknown(size):
    log_p, log_q = sides(60, spread=1.0)
    actual = from_top_k(f"mass_{size}", log_p, log_q, 8)
    inside = torch.zeros_like(log_p).scatter(-1, torch.tensor(ranking(log_p, 8)), 1.0)
    p = log_p.exp() * inside
    expected = p.gather(-1, torch.tensor(ranking(log_q, size))).sum(-1)
    assert torch.allclose(actual, expected, atol=1e-6)
    assert (actual < values(f"mass_{size}", log_p, log_q)).any()


def test_unit_and_direction_are_declared():
    sized = [("overlap", OVERLAPS), ("hit", HITS), ("mass", MASSES)]
    names = [f"{name}_{size}" for name, sizes in sized for size in sizes]
    for name in [*names, "overlap_nucleus"]:
        metric = metrics.get(name)
        assert (metric.name, metric.unit, metric.direction) == (name, "rate", "higher")
        is_mass = name.startswith("mass")
        assert metric.perfect == (None if is_mass else 1.0)
        assert metric.from_top_k == ("lower" if is_mass else "exact")
        if name != "overlap_nucleus":
            assert metric.size == int(name.rpartition("_")[2])
