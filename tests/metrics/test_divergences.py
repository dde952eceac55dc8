"""Divergences as metrics: by hand, against numpy, infinite, and from a top-k cache."""

import math

import numpy as np
import pytest
import torch

from kdbench.metrics import Positions, metrics
from kdbench.metrics._positions import TopPositions

P, Q = (0.5, 0.5), (0.75, 0.25)
WIDE_P, WIDE_Q = (0.6, 0.3, 0.08, 0.02), (0.2, 0.3, 0.1, 0.4)


def logs(*rows):
    return torch.tensor(rows).log()


def positions(log_p, log_q, targets=None, set="ref"):
    if targets is None:
        targets = [0] * len(log_p)
    return Positions(log_p, log_q, torch.tensor(targets), set)


def by_hand(name, p, q):
    return float(metrics.get(name)().values(positions(logs(p), logs(q))))


def random_logs(seed, *shape, spread=3.0):
    generator = torch.Generator().manual_seed(seed)
    return (spread * torch.randn(*shape, generator=generator)).log_softmax(-1)


def kl(p, q):
    p, q = np.asarray(p, dtype=np.float64), np.asarray(q, dtype=np.float64)
    return (p * np.log(p / q)).sum(-1)


def jsd(p, q):
    middle = (np.asarray(p) + np.asarray(q)) / 2
    return 0.5 * kl(p, middle) + 0.5 * kl(q, middle)


REFERENCES = {
    "fkl": kl,
    "rkl": lambda p, q: kl(q, p),
    "jsd": jsd,
    "acceptance": lambda p, q: np.minimum(p, q).sum(-1),
}
every = pytest.mark.parametrize("name", REFERENCES)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("fkl", 0.143841),
        ("rkl", 0.130812),
        ("jsd", 0.033822),
        ("acceptance", 0.75),
    ],
)
def test_the_example_worked_out_by_hand(name, expected):
    assert by_hand(name, P, Q) == pytest.approx(expected, abs=1e-6)


@every
@pytest.mark.parametrize("vocabulary", [2, 10, 500])
def test_values_equal_those_of_numpy(name, vocabulary):
    log_p, log_q = random_logs(vocabulary, 2, 16, vocabulary)
    actual = metrics.get(name)().values(positions(log_p, log_q))
    p, q = (np.exp(side.double().numpy()) for side in (log_p, log_q))
    assert actual.shape == (16,)
    assert actual.numpy() == pytest.approx(REFERENCES[name](p, q), rel=1e-5, abs=2e-6)


@pytest.mark.parametrize(
    ("name", "p", "q", "expected"),
    [
        ("fkl", (0.5, 0.5), (1.0, 0.0), math.inf),
        ("fkl", (1.0, 0.0), (0.5, 0.5), math.log(2)),
        ("fkl", (1.0, 0.0), (0.0, 1.0), math.inf),
        ("fkl", (0.5, 0.5, 0.0), (0.5, 0.5, 0.0), 0),
        ("rkl", (0.5, 0.5), (1.0, 0.0), math.log(2)),
        ("rkl", (1.0, 0.0), (0.5, 0.5), math.inf),
        ("rkl", (0.5, 0.5, 0.0), (0.5, 0.5, 0.0), 0),
        ("jsd", (1.0, 0.0), (0.0, 1.0), math.log(2)),
        ("jsd", (0.5, 0.5, 0.0), (0.5, 0.5, 0.0), 0),
        ("acceptance", (1.0, 0.0), (0.0, 1.0), 0),
        ("acceptance", (0.5, 0.5, 0.0), (0.5, 0.0, 0.5), 0.5),
    ],
)
def test_ruled_out_tokens_give_infinity_only_where_expected(name, p, q, expected):
    assert by_hand(name, p, q) == pytest.approx(expected, abs=1e-6)


def test_an_infinite_position_does_not_affect_the_others():
    log_p, log_q = logs(P, P), logs((1.0, 0.0), Q)
    assert metrics.get("fkl")().values(positions(log_p, log_q)).tolist() == [
        math.inf,
        pytest.approx(0.143841, abs=1e-6),
    ]


# A teacher's top-k


def from_top_two(name, p, q):
    """The divergence from a cache of the first two tokens, the teacher's most likely."""
    log_p, log_q = logs(p), logs(q)
    entropy = torch.tensor([-(np.array(p) * np.log(p)).sum()]).float()
    tail = torch.tensor([sum(p[2:])]).log()
    zero = torch.tensor([0])
    at = TopPositions(log_p[:, :2], torch.tensor([[0, 1]]), tail, entropy, log_p[:, 0], log_q, zero)
    return float(metrics.get(name)().values(at))


def test_forward_kl_from_top_k_puts_the_rest_into_one_class():
    p, q = np.array(WIDE_P), np.array(WIDE_Q)
    true = kl(p, q)
    assert true == pytest.approx(0.581401, abs=1e-6)
    assert by_hand("fkl", WIDE_P, WIDE_Q) == pytest.approx(true, abs=1e-6)
    actual = from_top_two("fkl", WIDE_P, WIDE_Q)
    assert actual == pytest.approx(0.498224, abs=1e-6)

    # The value is neither of the two alternatives that would not be a bound.
    mass_p, mass_q = p[:2].sum(), q[:2].sum()
    renormalised = kl(p[:2] / mass_p, q[:2] / mass_q)
    assert renormalised == pytest.approx(0.144622, abs=1e-6)
    partial_sum = kl(p[:2], q[:2])
    assert partial_sum == pytest.approx(0.659167, abs=1e-6)
    assert partial_sum > true
    binary = kl((mass_p, 1 - mass_p), (mass_q, 1 - mass_q))
    assert binary == pytest.approx(0.368064, abs=1e-6)
    for other in (renormalised, partial_sum, binary):
        assert abs(actual - other) > 0.1

    # By the chain rule, the coarse KL is the whole KL minus the part among the other tokens.
    assert actual == pytest.approx(binary + mass_p * renormalised, abs=1e-6)
    tails = kl(p[2:] / (1 - mass_p), q[2:] / (1 - mass_q))
    assert actual + (1 - mass_p) * tails == pytest.approx(true, abs=1e-6)


@every
def test_divergences_from_top_k_are_those_of_the_classes(name):
    p, q = np.array([0.6, 0.3, 0.1]), np.array([0.2, 0.3, 0.5])
    expected = pytest.approx(float(REFERENCES[name](p, q)), abs=1e-6)
    assert from_top_two(name, WIDE_P, WIDE_Q) == expected


def test_the_bound_of_each_divergence_from_top_k():
    kinds = {name: metrics.get(name).from_top_k for name in (*REFERENCES, "k1", "k3")}
    assert kinds.pop("acceptance") == "upper"
    assert kinds.pop("k1") == kinds.pop("k3") == "exact"
    assert set(kinds.values()) == {"lower"}


# From the sampled tokens only


def chosen(name, set, p_of_token, q_of_token):
    rows = [
        [(probability, 1 - probability) for probability in side]
        for side in (p_of_token, q_of_token)
    ]
    at = positions(logs(*rows[0]), logs(*rows[1]), [0] * len(p_of_token), set)
    return metrics.get(name)().values(at)


@pytest.mark.parametrize(("set", "flip"), [("student", False), ("teacher", True)])
def test_the_sampled_estimates_worked_out_by_hand(set, flip):
    # r, the other model's probability divided by the sampler's, is 2 and then .5.
    other, sampler = (0.5, 0.25), (0.25, 0.5)
    p, q = (sampler, other) if flip else (other, sampler)
    k1, k3 = chosen("k1", set, p, q), chosen("k3", set, p, q)
    assert k1.tolist() == pytest.approx([-math.log(2), math.log(2)])
    assert float(k1.mean()) == pytest.approx(0, abs=1e-7)
    assert k3.tolist() == pytest.approx([1 - math.log(2), math.log(2) - 0.5], abs=1e-6)
    assert k3.tolist() == pytest.approx([0.30685, 0.19315], abs=1e-5)
    assert float(k3.mean()) == pytest.approx(0.25, abs=1e-6)


@pytest.mark.parametrize("name", ["k1", "k3"])
@pytest.mark.parametrize(("set", "exact"), [("teacher", "fkl"), ("student", "rkl")])
def test_the_sampled_estimates_are_unbiased(name, set, exact):
    log_p, log_q = random_logs(5, 2, 4, 12, spread=1.0)
    sampler = (log_p if set == "teacher" else log_q).double().exp()
    expected = torch.zeros(4, dtype=torch.float64)
    for token in range(12):  # the expectation over the sampler's tokens
        at = positions(log_p, log_q, [token] * 4, set)
        expected += sampler[:, token] * metrics.get(name)().values(at)
    kl_of_all = metrics.get(exact)().values(positions(log_p, log_q))
    assert expected.numpy() == pytest.approx(kl_of_all.numpy(), abs=1e-5)


def test_k3_is_never_negative_and_k1_may_be():
    log_p, log_q = random_logs(6, 2, 200, 30)
    at = positions(log_p, log_q, list(torch.arange(200) % 30), "student")
    assert float(metrics.get("k3")().values(at).min()) >= -1e-6
    assert float(metrics.get("k1")().values(at).min()) < 0


def test_k3_is_accurate_for_ratios_near_one():
    log_p, log_q = torch.tensor([[-0.0003]]), torch.tensor([[0.0]])
    actual = metrics.get("k3")().values(positions(log_p, log_q, [0], "student"))
    # r - 1, with r rounded to float32, would have no correct digit.
    assert float(actual) == pytest.approx(0.0003**2 / 2, rel=1e-2)


@pytest.mark.parametrize("name", ["k1", "k3"])
def test_a_sampled_token_ruled_out_by_the_other_model_gives_infinity(name):
    sure, open_ = (1.0, 0.0), (0.5, 0.5)
    at = positions(logs(sure), logs(open_), [1], "student")
    assert float(metrics.get(name)().values(at)) == math.inf
    at = positions(logs(open_), logs(sure), [1], "teacher")
    assert float(metrics.get(name)().values(at)) == math.inf


@pytest.mark.parametrize(
    ("name", "unit", "direction", "headline"),
    [
        ("fkl", "nats", "lower", "teacher"),
        ("rkl", "nats", "lower", "student"),
        ("jsd", "nats", "lower", "student"),
        ("acceptance", "rate", "higher", "student"),
        ("k1", "nats", "none", "student"),
        ("k3", "nats", "lower", "student"),
    ],
)
def test_unit_and_direction_are_declared(name, unit, direction, headline):
    metric = metrics.get(name)
    assert (metric.unit, metric.direction, metric.headline) == (unit, direction, headline)
    sets = ("teacher", "student") if name in ("k1", "k3") else ("ref", "teacher", "student")
    assert metric.sets == sets
