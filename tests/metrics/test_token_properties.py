"""Properties of every metric of next-token distributions, on any distributions."""

import math
import re
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kdbench.errors import InputError
from kdbench.metrics import (
    Metric,
    PooledTokenMetric,
    Positions,
    TeacherMetric,
    TokenMetric,
    metrics,
)
from kdbench.metrics._kinds import PositionMetric
from kdbench.metrics._positions import TopPositions, top

KINDS = {name: metrics.get(name) for name in metrics.names()}


def named(kind):
    return [name for name, metric in KINDS.items() if issubclass(metric, kind)]


TEACHER, TOKEN, POOLED = named(TeacherMetric), named(TokenMetric), named(PooledTokenMetric)
POSITION = named(PositionMetric)


def allowed(kind, attribute):
    """The values that the annotation allows."""
    (literal,) = get_args(kind.__annotations__[attribute])
    return set(get_args(literal))


UNITS, DIRECTIONS = allowed(Metric, "unit"), allowed(Metric, "direction")
FROM_TOP_K = allowed(PositionMetric, "from_top_k")
BOUNDS = [name for name in POSITION if KINDS[name].from_top_k in ("lower", "upper")]
EXACT = [name for name in POSITION if KINDS[name].from_top_k == "exact"]
WITHOUT_ZEROS = ("k1", "k3", "pearson")  # may be undefined at tokens of zero probability

# Number of the teacher's tokens that a cache needs for an exact value; 1 for all other metrics.
NEEDED = {"overlap_5": 5, "overlap_10": 10}
NEEDED |= dict.fromkeys(["overlap_50", "overlap_nucleus", "spearman", "kendall", "pearson"], 50)
RANGES = {"rate": (0, 1), "nats": (0, math.inf), "correlation": (-1, 1)}
SIGNED = ("k1", "ece_gap")


def values(name, at):
    """One value per position; for a pooled metric, what the position adds to the sums."""
    metric = KINDS[name]()
    return metric.values(at) if isinstance(metric, TokenMetric) else metric.sums(at)


def same(actual, expected, atol=1e-5):
    return torch.allclose(actual, expected, atol=atol, rtol=1e-5, equal_nan=True)


def a_side(random, n, vocabulary, spread, zeros):
    logits = torch.from_numpy(random.normal(size=(n, vocabulary)) * spread).float()
    ruled_out = torch.from_numpy(random.random((n, vocabulary)) < zeros)
    ruled_out.scatter_(-1, logits.argmax(-1, keepdim=True), False)  # at least one token is left
    return logits.masked_fill(ruled_out, -math.inf).log_softmax(-1)


SPREADS = [0.0, 0.1, 1.0, 4.0, 15.0]  # from flat to peaked
ZEROS = [0.0, 0.0, 0.3, 0.9]


@st.composite
def chunks(draw, teacher_zeros=ZEROS, student_zeros=ZEROS, spreads=SPREADS):
    vocabulary, n = draw(st.integers(2, 60)), draw(st.integers(1, 8))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    log_p = a_side(
        random,
        n,
        vocabulary,
        draw(st.sampled_from(spreads)),
        draw(st.sampled_from(teacher_zeros)),
    )
    log_q = a_side(
        random,
        n,
        vocabulary,
        draw(st.sampled_from(spreads)),
        draw(st.sampled_from(student_zeros)),
    )
    if draw(st.booleans()):  # a student close to its teacher
        mixed = (log_p.exp() * 0.8 + log_q.exp() * 0.2).log()
        log_q = (
            (mixed - mixed.logsumexp(-1, keepdim=True))
            .masked_fill(log_q == -math.inf, -math.inf)
            .log_softmax(-1)
        )
    targets = torch.from_numpy(random.integers(0, vocabulary, n))
    return Positions(log_p, log_q, targets, draw(st.sampled_from(["ref", "teacher", "student"])))


no_zeros = chunks(teacher_zeros=[0.0], student_zeros=[0.0])
# Without ties, of which a ranking shorter than the vocabulary may hold any.
untied = chunks(teacher_zeros=[0.0], student_zeros=[0.0, 0.3], spreads=[0.1, 1.0, 4.0])


def of(log_p, log_q, targets, set="ref"):
    return Positions(log_p, log_q, targets, set)


def rows(at, chosen):
    return of(at.log_p[chosen], at.log_q[chosen], at.targets[chosen], at.set)


def from_top_k(at, k):
    """The same positions, with only the teacher's k most likely tokens."""
    known, ids = top(at.log_p, k)
    tail = at.log_p.double().scatter(-1, ids, -math.inf).logsumexp(-1).float()
    return TopPositions(
        known, ids, tail, at.teacher_entropy, at.target_log_p, at.log_q, at.targets, at.set
    )


def random_positions(n, vocabulary, set, seed=0):
    random = np.random.default_rng(seed)
    log_p, log_q = (a_side(random, n, vocabulary, 1.0, 0) for _ in range(2))
    return of(log_p, log_q, torch.from_numpy(random.integers(0, vocabulary, n)), set)


# Declarations


@pytest.mark.parametrize("name", TEACHER)
def test_the_class_declares_name_unit_and_direction(name):
    metric = KINDS[name]
    assert metric.name == name
    assert re.fullmatch(r"[a-z0-9_A-Z]+", name)
    assert {"points", "rate", "nats"} < UNITS
    assert metric.unit in UNITS
    assert metric.direction in DIRECTIONS == {"higher", "lower", "none"}
    assert isinstance(metric.version, int)
    assert metric.version >= 1
    assert metric.__doc__
    if metric.perfect is not None:
        assert math.isfinite(metric.perfect)


@pytest.mark.parametrize("name", POSITION)
def test_the_class_declares_its_position_sets(name):
    metric = KINDS[name]
    assert metric.sets
    assert len(set(metric.sets)) == len(metric.sets)
    assert set(metric.sets) <= {"ref", "teacher", "student"}
    assert metric.headline in metric.sets
    assert metric.from_top_k in FROM_TOP_K
    assert issubclass(metric, TokenMetric) != issubclass(metric, PooledTokenMetric)
    if issubclass(metric, TokenMetric) and metric.on_policy_gap:
        assert {"ref", "student"} <= set(metric.sets)


@pytest.mark.parametrize("name", POSITION)
def test_perfect_is_the_best_end_of_the_range(name):
    metric = KINDS[name]
    low, high = RANGES.get(metric.unit, (None, None))
    if metric.perfect is not None and low is not None:
        if metric.direction == "higher":
            assert metric.perfect == high
        elif metric.direction == "lower":
            assert metric.perfect == low


def every_set(names):
    return pytest.mark.parametrize(
        ("name", "set"), [(name, where) for name in names for where in KINDS[name].sets]
    )


@every_set(POSITION)
@pytest.mark.parametrize("vocabulary", [5, 60, 300])
def test_a_student_equal_to_its_teacher_reaches_the_perfect_value(name, set, vocabulary):
    metric = KINDS[name]()
    at = random_positions(64, vocabulary, set, vocabulary)
    at = of(at.log_p, at.log_p.clone(), at.targets, set)
    at.target_bytes = torch.ones_like(at.targets)
    position_values = values(name, at).double().numpy()
    actual = (
        np.nanmean(position_values)
        if isinstance(metric, TokenMetric)
        else metric.value(position_values.sum(0))
    )
    assert np.isfinite(actual)
    if metric.perfect is not None:
        assert actual == pytest.approx(metric.perfect, abs=1e-5)


@every_set([name for name in TOKEN if KINDS[name].direction != "none"])
def test_a_different_student_is_worse_than_perfect(name, set):
    metric = KINDS[name]()
    if metric.perfect is not None:
        actual = float(values(name, random_positions(64, 60, set)).nanmean())
        better = (
            actual > metric.perfect if metric.direction == "higher" else actual < metric.perfect
        )
        assert not better
        assert abs(actual - metric.perfect) > 1e-3


# Ranges


@given(at=chunks())
def test_divergences_are_within_their_bounds(at):
    actual = {name: values(name, at) for name in ("acceptance", "jsd", "fkl", "rkl")}
    assert ((actual["acceptance"] >= 0) & (actual["acceptance"] <= 1)).all()
    distance = 1 - actual["acceptance"]
    assert ((actual["jsd"] >= -1e-6) & (actual["jsd"] <= math.log(2) + 1e-6)).all()
    for name in ("fkl", "rkl"):
        assert (actual[name] >= -1e-6 * (1 + len(at.log_p[0]))).all()
        # Pinsker's inequality; KL is infinite where only one side rules out a token.
        assert (actual[name] >= 2 * distance.square() - 1e-5).all()
    ruled_out = (at.log_q == -math.inf) & (at.log_p > -math.inf)
    assert torch.equal(actual["fkl"] == math.inf, ruled_out.any(-1))
    ruled_out = (at.log_p == -math.inf) & (at.log_q > -math.inf)
    assert torch.equal(actual["rkl"] == math.inf, ruled_out.any(-1))
    swapped = of(at.log_q, at.log_p, at.targets)
    for name, other in (("fkl", "rkl"), ("jsd", "jsd"), ("acceptance", "acceptance")):
        assert same(values(other, swapped), actual[name])


@pytest.mark.parametrize("name", TOKEN)
@given(data=st.data())
@settings(max_examples=30)
def test_each_position_has_a_value_in_range(name, data):
    at = data.draw(no_zeros if name in WITHOUT_ZEROS else chunks())
    actual = values(name, at)
    assert actual.shape == at.targets.shape
    assert actual.dtype == torch.float32
    low, high = RANGES[KINDS[name].unit]
    if name not in SIGNED:
        known = actual[~actual.isnan()]
        assert ((known >= low - 1e-5) & (known <= high + 1e-5)).all()


MAY_BE_UNDEFINED = ("top1_decision", "top1_teacher_wrong", "spearman", "kendall", "pearson")


@pytest.mark.parametrize("name", [name for name in TOKEN if name not in MAY_BE_UNDEFINED])
@given(data=st.data())
@settings(max_examples=30)
def test_every_position_has_a_finite_value(name, data):
    at = data.draw(no_zeros if name in WITHOUT_ZEROS else chunks())
    assert not values(name, at).isnan().any()


@pytest.mark.parametrize("name", POOLED)
@given(at=chunks())
@settings(max_examples=30)
def test_every_position_adds_finite_sums(name, at):
    position_sums = values(name, at)
    assert position_sums.ndim == 2
    assert len(position_sums) == len(at.targets)
    assert torch.isfinite(position_sums).all()
    if KINDS[name].unit == "rate":
        actual = float(KINDS[name]().value(position_sums.double().numpy().sum(0)))
        assert -1 - 1e-6 <= actual <= 1 + 1e-6
        if name not in SIGNED:
            assert actual >= 0


# Independence of positions


@pytest.mark.parametrize("name", POSITION)
@given(data=st.data(), at=chunks())
@settings(max_examples=30)
def test_the_order_of_positions_does_not_matter(name, data, at):
    order = data.draw(st.permutations(range(len(at.targets))))
    assert same(values(name, rows(at, order)), values(name, at)[order], atol=1e-6)


@pytest.mark.parametrize("name", POSITION)
@given(data=st.data(), at=chunks())
@settings(max_examples=30)
def test_chunks_can_be_split(name, data, at):
    n = len(at.targets)
    cut = data.draw(st.integers(1, n))
    parts = [rows(at, slice(0, cut))] + ([rows(at, slice(cut, n))] if cut < n else [])
    actual, whole = [values(name, chunk) for chunk in parts], values(name, at)
    assert same(torch.cat(actual), whole, atol=1e-6)
    metric = KINDS[name]()
    if isinstance(metric, PooledTokenMetric):
        together = sum(chunk_sums.double().numpy().sum(0) for chunk_sums in actual)
        expected = metric.value(whole.double().numpy().sum(0))
        assert metric.value(together) == pytest.approx(expected, rel=1e-5, abs=1e-6, nan_ok=True)


@pytest.mark.parametrize("name", POOLED)
@given(parts=st.lists(no_zeros, min_size=1, max_size=4), shape=st.sampled_from([(), (1,), (3,)]))
@settings(max_examples=30)
def test_batched_values_equal_single_ones(name, parts, shape):
    metric = KINDS[name]()
    sums = np.stack([metric.sums(text).double().numpy().sum(0) for text in parts])
    sums = np.concatenate([sums, np.zeros_like(sums[:1])])  # one text has no position
    expected = np.array([metric.value(row) for row in sums])
    assert np.isnan(expected[-1])
    actual = metric.value(np.broadcast_to(sums, (*shape, *sums.shape)))
    assert actual.shape == (*shape, len(sums))
    assert np.array_equal(actual, np.broadcast_to(expected, actual.shape), equal_nan=True)


# A teacher's top-k


@pytest.mark.parametrize("name", BOUNDS)
@given(data=st.data(), at=chunks())
@settings(max_examples=100)
def test_from_top_k_the_declared_bound_holds(name, data, at):
    k = data.draw(st.integers(1, at.log_p.shape[-1] - 1))
    actual, truth = values(name, from_top_k(at, k)), values(name, at)
    # Rounding of float32 sums of logarithms, relative to their range.
    finite = truth.isfinite()
    room = torch.where(finite, 1e-5 * (1 + truth.abs()), torch.zeros(()))
    below = actual <= truth + room
    above = actual >= truth - room
    assert (below if KINDS[name].from_top_k == "lower" else above).all()


@pytest.mark.parametrize("name", BOUNDS)
@given(data=st.data(), at=chunks())
@settings(max_examples=30)
def test_the_bound_tightens_with_k_to_the_exact_value(name, data, at):
    vocabulary = at.log_p.shape[-1]
    k = data.draw(st.integers(1, vocabulary - 1))
    less, more = (values(name, from_top_k(at, count)) for count in (k, k + 1))
    room = torch.where(more.isfinite(), 1e-5 * (1 + more.abs()), torch.zeros(()))
    lower = KINDS[name].from_top_k == "lower"
    assert (less <= more + room if lower else less >= more - room).all()
    assert same(values(name, from_top_k(at, vocabulary)), values(name, at))


@pytest.mark.parametrize("name", EXACT)
@given(data=st.data(), at=untied)
@settings(max_examples=50)
def test_from_enough_tokens_the_value_is_exact(name, data, at):
    vocabulary = at.log_p.shape[-1]
    k = data.draw(st.integers(min(NEEDED.get(name, 1), vocabulary), vocabulary))
    actual, truth = values(name, from_top_k(at, k)), values(name, at)
    assert same(actual, truth)
    metric = KINDS[name]()
    if isinstance(metric, PooledTokenMetric):
        bound, other = (
            metric.value(position_sums.double().numpy().sum(0)) for position_sums in (actual, truth)
        )
        assert bound == pytest.approx(other, rel=1e-5, abs=1e-5, nan_ok=True)


@pytest.mark.parametrize("name", list(NEEDED))
def test_too_few_tokens_are_refused(name):
    at = random_positions(64, 60, "ref")
    with pytest.raises(InputError, match="needs the teacher's top"):
        values(name, from_top_k(at, 4))
