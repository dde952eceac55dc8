"""Divergences: hand-computed values, properties on any distributions, and gradients."""

import math
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kdbench.divergence import (
    adaptive_kl,
    alpha_beta,
    cross_entropy,
    entropy,
    forward_kl,
    generalised_jsd,
    jeffreys,
    mixture,
    reverse_kl,
    skew_kl,
    skew_reverse_kl,
    total_variation,
)
from kdbench.errors import InputError

DIVERGENCES = {
    "forward_kl": forward_kl,
    "reverse_kl": reverse_kl,
    "jsd": generalised_jsd,
    "jsd_0": partial(generalised_jsd, teacher_weight=0),
    "jsd_0.1": partial(generalised_jsd, teacher_weight=0.1),
    "jsd_0.9": partial(generalised_jsd, teacher_weight=0.9),
    "jsd_1": partial(generalised_jsd, teacher_weight=1),
    "skew_kl": skew_kl,
    "skew_kl_0": partial(skew_kl, teacher_weight=0),
    "skew_reverse_kl": skew_reverse_kl,
    "skew_reverse_kl_0": partial(skew_reverse_kl, student_weight=0),
    "total_variation": total_variation,
    "adaptive_kl": adaptive_kl,
    "alpha_beta": alpha_beta,
    "alpha_beta_half": partial(alpha_beta, alpha=0.5, beta=0.5),
    "alpha_beta_1_0": partial(alpha_beta, alpha=1, beta=0),
    "alpha_beta_0_1": partial(alpha_beta, alpha=0, beta=1),
    **{
        f"alpha_beta_{alpha}_{beta}": partial(alpha_beta, alpha=alpha, beta=beta)
        for alpha, beta in (
            *((0.5, 0), (2, 0), (-0.5, 0), (0, 0.5), (0, -0.5), (0, 0)),  # limits
            *((0.5, -0.5), (-0.5, 0.5), (2, -0.5), (-0.5, 2), (-0.5, -0.5)),
        )
    },
    "adaptive_kl_head": partial(adaptive_kl, boundary="head"),
    "jeffreys": jeffreys,
    "jeffreys_weighted": partial(jeffreys, forward_weight=0.3, reverse_weight=2.0),
    "jeffreys_forward": partial(jeffreys, forward_weight=0.5, reverse_weight=0),
}
# The target may rule out a token where the divergence stays finite.
FINITE_AT_ZERO = [
    "forward_kl",
    "jsd",
    "jsd_0",
    "jsd_0.1",
    "jsd_0.9",
    "skew_kl",
    "skew_reverse_kl",
    "total_variation",
    "alpha_beta",
    *("alpha_beta_0.5_0", "alpha_beta_2_0", "alpha_beta_-0.5_0", "alpha_beta_0.5_-0.5"),
    *("alpha_beta_2_-0.5", "alpha_beta_-0.5_2", "alpha_beta_-0.5_-0.5", "alpha_beta_0_-0.5"),
    "jeffreys_forward",
]
every = pytest.mark.parametrize("divergence", DIVERGENCES.values(), ids=DIVERGENCES.keys())

P, Q = (0.5, 0.5), (0.75, 0.25)
WIDE_P, WIDE_Q = (0.5, 0.3, 0.15, 0.05), (0.1, 0.4, 0.2, 0.3)


def logs(probabilities):
    return torch.tensor(probabilities, dtype=torch.float64).log()


def random_logits(seed, *shape, spread=2.0):
    generator = torch.Generator().manual_seed(seed)
    return spread * torch.randn(*shape, generator=generator, dtype=torch.float64)


def by_hand(divergence, p, q):
    value = divergence(logs(p), logs(q))
    assert value.shape == ()
    return float(value)


def kl(p, q):
    p, q = np.asarray(p, dtype=np.float64), np.asarray(q, dtype=np.float64)
    return float(sum(a * math.log(a / b) for a, b in zip(p, q, strict=True) if a > 0))


def blend(p, q, weight):
    return weight * np.asarray(p) + (1 - weight) * np.asarray(q)


def numpy_alpha_beta(p, q, a, b):
    p, q = np.asarray(p), np.asarray(q)
    inner = p**a * q**b - a / (a + b) * p ** (a + b) - b / (a + b) * q ** (a + b)
    return float(-inner.sum() / (a * b))


def numpy_tail_share(p, q, head_mass):
    """The tail's share of the gap: of all tokens but the most likely ones up to a mass."""
    seen, gaps = 0.0, {"tail": 0.0, "head": 0.0}
    for place, token in enumerate(np.argsort(p)[::-1]):
        seen += p[token]
        in_head = place == 0 or seen <= head_mass
        gaps["head" if in_head else "tail"] += abs(p[token] - q[token])
    return gaps["tail"] / (gaps["tail"] + gaps["head"])


@pytest.mark.parametrize(
    ("divergence", "expected"),
    [
        (forward_kl, 0.143841),
        (reverse_kl, 0.130812),
        (generalised_jsd, 0.033822),
        (total_variation, 0.25),
        (cross_entropy, 0.143841 + math.log(2)),
    ],
)
def test_values_worked_out_by_hand(divergence, expected):
    assert by_hand(divergence, P, Q) == pytest.approx(expected, abs=1e-6)


def test_the_entropy_of_a_fair_coin_is_log_two():
    assert float(entropy(logs(P))) == pytest.approx(math.log(2))
    assert float(entropy(torch.tensor([0.0, -torch.inf]))) == 0


def test_a_mixtures_weight_applies_to_its_first_side():
    assert mixture(logs(P), logs(Q), 0.2).exp().tolist() == pytest.approx([0.7, 0.3])
    assert torch.equal(mixture(logs(P), logs(Q), 1), logs(P))
    assert torch.equal(mixture(logs(P), logs(Q), 0), logs(Q))


@pytest.mark.parametrize("weight", [0.1, 0.3, 0.5, 0.9])
def test_generalised_jsd_weighs_both_sides_against_the_teacher_weighted_mixture(weight):
    m = blend(WIDE_P, WIDE_Q, weight)
    expected = weight * kl(WIDE_P, m) + (1 - weight) * kl(WIDE_Q, m)
    actual = by_hand(partial(generalised_jsd, teacher_weight=weight), WIDE_P, WIDE_Q)
    assert actual == pytest.approx(expected, abs=1e-12)


def test_the_mixture_of_a_small_teacher_weight_is_near_the_student():
    # Published codes disagree on whose weight it is: their 0.1 could be the 0.9 here.
    near_student = by_hand(partial(generalised_jsd, teacher_weight=0.1), WIDE_P, WIDE_Q)
    near_teacher = by_hand(partial(generalised_jsd, teacher_weight=0.9), WIDE_P, WIDE_Q)
    m = 0.1 * np.array(WIDE_P) + 0.9 * np.array(WIDE_Q)
    assert near_student == pytest.approx(0.1 * kl(WIDE_P, m) + 0.9 * kl(WIDE_Q, m))
    assert abs(near_student - near_teacher) > 1e-3


@pytest.mark.parametrize("weight", [0, 0.1, 0.5, 0.9])
def test_skew_divergences_put_the_stated_side_into_the_mixture(weight):
    forward = by_hand(partial(skew_kl, teacher_weight=weight), WIDE_P, WIDE_Q)
    assert forward == pytest.approx(kl(WIDE_P, blend(WIDE_P, WIDE_Q, weight)), abs=1e-12)
    backward = by_hand(partial(skew_reverse_kl, student_weight=weight), WIDE_P, WIDE_Q)
    assert backward == pytest.approx(kl(WIDE_Q, blend(WIDE_Q, WIDE_P, weight)), abs=1e-12)


def test_skew_divergences_of_the_example():
    assert by_hand(skew_kl, P, Q) == pytest.approx(
        0.5 * math.log(0.5 / 0.725) + 0.5 * math.log(0.5 / 0.275), abs=1e-12
    )
    assert by_hand(skew_reverse_kl, P, Q) == pytest.approx(
        0.75 * math.log(0.75 / 0.525) + 0.25 * math.log(0.25 / 0.475), abs=1e-12
    )


@pytest.mark.parametrize(("alpha", "beta"), [(0.2, 0.7), (0.5, 0.5), (1, 1), (2, -0.5), (0.9, 0.1)])
def test_alpha_beta_equals_its_formula(alpha, beta):
    actual = by_hand(partial(alpha_beta, alpha=alpha, beta=beta), WIDE_P, WIDE_Q)
    assert actual == pytest.approx(numpy_alpha_beta(WIDE_P, WIDE_Q, alpha, beta), abs=1e-12)


def test_alpha_beta_of_one_and_one_is_half_the_squared_distance():
    actual = by_hand(partial(alpha_beta, alpha=1, beta=1), P, Q)
    assert actual == pytest.approx(0.5 * (0.25**2 + 0.25**2))


def test_alpha_beta_is_not_reverse_kl_unless_asked():
    assert by_hand(alpha_beta, P, Q) == pytest.approx(numpy_alpha_beta(P, Q, 0.2, 0.7))
    assert abs(by_hand(alpha_beta, P, Q) - 0.130812) > 1e-2


LIMITS = [(0.5, 0), (1, 0), (2, 0), (-0.5, 0), (0, 0.5), (0, 1), (0, -0.5), (0, 0)]
LIMITS += [(0.5, -0.5), (-0.5, 0.5), (2, -2)]


@pytest.mark.parametrize(("alpha", "beta"), LIMITS)
def test_alpha_beta_approaches_its_limit(alpha, beta):
    """The general formula by NumPy is off by a multiple of the step away from the limit."""
    limit = by_hand(partial(alpha_beta, alpha=alpha, beta=beta), WIDE_P, WIDE_Q)
    assert limit > 0.05
    errors = []
    for step in (1e-2, 1e-3, 1e-4):
        near = numpy_alpha_beta(WIDE_P, WIDE_Q, alpha + step, beta + 1.7 * step)
        errors.append(abs(near - limit))
    assert errors[0] < 0.1 * limit
    for coarse, fine in pairwise(errors):
        assert fine == pytest.approx(coarse / 10, rel=0.15)


def test_limits_of_alpha_beta_worked_out_by_hand():
    # p is .5, .5 and q .75, .25, so log p/q is -a and b.
    a, b = math.log(1.5), math.log(2)
    half = math.sqrt(0.5)
    expected = {
        (0, 0): 0.5 * (a**2 + b**2),
        (2, 0): (0.25 * 2 * (b - a) - 0.5 + 0.5625 + 0.0625) / 4,
        (1, -1): (1 / 1.5 - 1 + a) + (2 - 1 - b),
        (0.5, 0): 4 * (half * (b - a) / 2 - 2 * half + math.sqrt(0.75) + 0.5),
    }
    for (alpha, beta), value in expected.items():
        assert by_hand(partial(alpha_beta, alpha=alpha, beta=beta), P, Q) == pytest.approx(value)


@pytest.mark.parametrize(("alpha", "beta"), [*LIMITS, (0.2, 0.7), (2, -0.5)])
def test_exchanging_both_sides_and_both_powers_of_alpha_beta_changes_nothing(alpha, beta):
    one = by_hand(partial(alpha_beta, alpha=alpha, beta=beta), WIDE_P, WIDE_Q)
    other = by_hand(partial(alpha_beta, alpha=beta, beta=alpha), WIDE_Q, WIDE_P)
    assert one == pytest.approx(other, abs=1e-14)


def test_jeffreys_is_both_kl_each_with_its_weight():
    both = kl(WIDE_P, WIDE_Q) + kl(WIDE_Q, WIDE_P)
    assert by_hand(jeffreys, WIDE_P, WIDE_Q) == pytest.approx(both, abs=1e-12)
    assert by_hand(jeffreys, WIDE_Q, WIDE_P) == pytest.approx(both, abs=1e-12)
    weighted = by_hand(partial(jeffreys, forward_weight=0.3, reverse_weight=2), WIDE_P, WIDE_Q)
    assert weighted == pytest.approx(0.3 * kl(WIDE_P, WIDE_Q) + 2 * kl(WIDE_Q, WIDE_P))
    one_sided = partial(jeffreys, forward_weight=0, reverse_weight=0.5)
    assert by_hand(one_sided, WIDE_P, WIDE_Q) == pytest.approx(0.5 * kl(WIDE_Q, WIDE_P))


@pytest.mark.parametrize("weights", [(-1, 1), (1, -0.5), (0, 0)])
def test_jeffreys_refuses_weights_that_make_no_divergence(weights):
    with pytest.raises(InputError, match="must be 0 or more, and not both 0"):
        jeffreys(logs(P), logs(Q), *weights)


@pytest.mark.parametrize("weight", [-0.1, 1.1, 2])
def test_generalised_jsd_refuses_weights_outside_0_to_1(weight):
    with pytest.raises(InputError, match="must be 0 to 1"):
        generalised_jsd(logs(P), logs(Q), weight)


def test_adaptive_kl_of_the_example_weighs_both_parts_alike():
    # Both gaps are .25; the first token alone fills the head's half.
    assert by_hand(adaptive_kl, P, Q) == pytest.approx(0.5 * (0.143841 + 0.130812), abs=1e-6)


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (1, 3, 0, 2), (2, 0, 3, 1)])
@pytest.mark.parametrize("head_mass", [0.3, 0.5, 0.8, 0.95])
def test_adaptive_kl_applies_the_mask_of_sorted_tokens_to_the_gaps_in_that_order(order, head_mass):
    p, q = [np.array(side)[list(order)] for side in (WIDE_P, WIDE_Q)]
    # Sums of these probabilities are decimals; a hair more makes "up to" mean the same everywhere.
    share = numpy_tail_share(p, q, head_mass + 1e-9)
    found = by_hand(partial(adaptive_kl, head_mass=head_mass + 1e-9), p, q)
    assert found == pytest.approx((1 - share) * kl(p, q) + share * kl(q, p), abs=1e-12)


def test_adaptive_kl_by_hand():
    # The first token fills the head; the gaps of the other three are .25 + .05 + .1 of .8 in all.
    found = by_hand(partial(adaptive_kl, head_mass=0.5 + 1e-9), WIDE_P, WIDE_Q)
    assert found == pytest.approx(0.5 * kl(WIDE_P, WIDE_Q) + 0.5 * kl(WIDE_Q, WIDE_P))


def test_the_token_that_passes_the_limit_of_adaptive_kl_is_in_the_tail():
    """As in the authors' code; in DSKD's, which sorts the other way round, it is in the head."""
    p, q = (0.4, 0.35, 0.25), (0.2, 0.1, 0.7)
    expected = 0.2 / 0.9 * kl(p, q) + 0.7 / 0.9 * kl(q, p)
    assert by_hand(adaptive_kl, p, q) == pytest.approx(expected, abs=1e-12)
    assert by_hand(adaptive_kl, p, q) == pytest.approx(0.45716, abs=1e-5)
    as_dskd = by_hand(partial(adaptive_kl, boundary="head"), p, q)
    assert as_dskd == pytest.approx(0.5 * kl(p, q) + 0.5 * kl(q, p), abs=1e-12)
    assert as_dskd == pytest.approx(0.45757, abs=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_the_head_of_dskd_is_all_but_the_least_likely_half(seed):
    """DSKD sorts ascending; the tail is what adds up to a half at most."""
    p, q = random_logits(seed, 2, 50).softmax(-1).numpy()
    ascending = np.argsort(p)
    tail = ascending[np.cumsum(p[ascending]) <= 0.5]
    gap = np.abs(p - q)
    share = gap[tail].sum() / gap.sum()
    found = by_hand(partial(adaptive_kl, boundary="head"), p, q)
    assert found == pytest.approx((1 - share) * kl(p, q) + share * kl(q, p), abs=1e-9)
    assert abs(found - by_hand(adaptive_kl, p, q)) > 1e-6


def test_adaptive_kl_refuses_another_boundary():
    with pytest.raises(InputError, match="boundary=middle: must be tail or head"):
        adaptive_kl(logs(P), logs(Q), boundary="middle")


def test_the_most_likely_token_is_always_in_the_head_of_adaptive_kl():
    p, q = (0.9, 0.1), (0.6, 0.4)
    assert by_hand(partial(adaptive_kl, head_mass=0), p, q) == pytest.approx(
        0.5 * kl(p, q) + 0.5 * kl(q, p)
    )


def test_the_weights_of_adaptive_kl_carry_no_gradient():
    p, z = logs(WIDE_P), logs(WIDE_Q)
    share = numpy_tail_share(np.array(WIDE_P), np.array(WIDE_Q), 0.4)

    def gradient(loss):
        at = z.clone().requires_grad_()
        loss(at.log_softmax(-1)).backward()
        return at.grad

    actual = gradient(lambda log_q: adaptive_kl(p, log_q, 0.4))
    expected = gradient(
        lambda log_q: (1 - share) * forward_kl(p, log_q) + share * reverse_kl(p, log_q)
    )
    assert torch.allclose(actual, expected, atol=1e-12)


def test_adaptive_kl_without_a_tail_is_forward_kl():
    # In floats the probabilities may add up to a little more than 1.
    found = by_hand(partial(adaptive_kl, head_mass=1 + 1e-9), WIDE_P, WIDE_Q)
    assert found == pytest.approx(by_hand(forward_kl, WIDE_P, WIDE_Q))


# Properties on any distributions

_logits = st.lists(
    st.tuples(st.floats(-8, 8), st.floats(-8, 8)), min_size=2, max_size=8
)  # of teacher and student


def sides(pairs):
    z = torch.tensor(pairs, dtype=torch.float64)
    return z[:, 0].log_softmax(-1), z[:, 1].log_softmax(-1)


@every
@given(pairs=_logits)
@settings(deadline=None, max_examples=50)
def test_a_divergence_is_non_negative_and_zero_only_for_equal_distributions(divergence, pairs):
    log_p, log_q = sides(pairs)
    value = float(divergence(log_p, log_q))
    assert value >= -1e-12
    assert float(divergence(log_p, log_p)) == pytest.approx(0, abs=1e-12)
    if float(total_variation(log_p, log_q)) > 1e-2:
        assert value > 1e-8


@given(pairs=_logits, weight=st.floats(0.01, 0.99))
@settings(deadline=None)
def test_jensen_shannon_is_bounded_and_symmetric(pairs, weight):
    log_p, log_q = sides(pairs)
    assert float(generalised_jsd(log_p, log_q)) <= math.log(2) + 1e-12
    assert torch.allclose(generalised_jsd(log_p, log_q), generalised_jsd(log_q, log_p), atol=1e-12)
    bound = -weight * math.log(weight) - (1 - weight) * math.log(1 - weight)
    value = generalised_jsd(log_p, log_q, weight)
    assert float(value) <= bound + 1e-12
    assert torch.allclose(value, generalised_jsd(log_q, log_p, 1 - weight), atol=1e-12)


def test_jensen_shannon_reaches_log_two_where_nothing_is_shared():
    log_p, log_q = torch.tensor([[0.0, -2e4], [-2e4, 0.0]])
    assert float(generalised_jsd(log_p, log_q)) == pytest.approx(math.log(2))
    assert float(total_variation(log_p, log_q)) == 1


@given(pairs=_logits)
@settings(deadline=None)
def test_total_variation_is_a_share_and_symmetric(pairs):
    log_p, log_q = sides(pairs)
    value = float(total_variation(log_p, log_q))
    assert 0 <= value <= 1 + 1e-12
    assert value == pytest.approx(float(total_variation(log_q, log_p)), abs=1e-15)
    accepted = float(torch.minimum(log_p.exp(), log_q.exp()).sum())
    assert 1 - value == pytest.approx(accepted, abs=1e-12)


@given(pairs=_logits)
@settings(deadline=None)
def test_pinsker_holds_between_total_variation_and_both_kl(pairs):
    log_p, log_q = sides(pairs)
    bound = 2 * float(total_variation(log_p, log_q)) ** 2
    assert float(forward_kl(log_p, log_q)) >= bound - 1e-12
    assert float(reverse_kl(log_p, log_q)) >= bound - 1e-12


@pytest.mark.parametrize("seed", range(5))
def test_generalised_jsd_over_its_small_weight_tends_to_kl_at_both_ends(seed):
    log_p, log_q = random_logits(seed, 2, 9, spread=1.0).log_softmax(-1)
    tiny = 1e-6
    at_student = generalised_jsd(log_p, log_q, tiny) / tiny
    at_teacher = generalised_jsd(log_p, log_q, 1 - tiny) / tiny
    assert float(at_student) == pytest.approx(float(forward_kl(log_p, log_q)), rel=1e-3)
    assert float(at_teacher) == pytest.approx(float(reverse_kl(log_p, log_q)), rel=1e-3)


@pytest.mark.parametrize("seed", range(5))
def test_generalised_jsd_jumps_to_kl_at_both_ends(seed):
    log_p, log_q = random_logits(seed, 2, 9).log_softmax(-1)
    for weight, end in ((0, forward_kl), (0.0, forward_kl), (1, reverse_kl), (1.0, reverse_kl)):
        assert torch.equal(generalised_jsd(log_p, log_q, weight), end(log_p, log_q))
    assert generalised_jsd(log_p, log_q, 1e-3) < 0.01 * forward_kl(log_p, log_q)


@pytest.mark.parametrize("seed", range(5))
def test_alpha_beta_approaches_its_limits_continuously(seed):
    log_p, log_q = random_logits(seed, 2, 9, spread=1.0).log_softmax(-1)
    forward, reverse = float(forward_kl(log_p, log_q)), float(reverse_kl(log_p, log_q))
    for number in (int, float):
        one, zero = number(1), number(0)
        assert float(alpha_beta(log_p, log_q, one, zero)) == forward
        assert float(alpha_beta(log_p, log_q, zero, one)) == reverse
    for tiny in (1e-4, 1e-6, -1e-6):
        near = pytest.approx(forward, rel=100 * abs(tiny))
        assert float(alpha_beta(log_p, log_q, 1 - tiny, tiny)) == near
        near = pytest.approx(reverse, rel=100 * abs(tiny))
        assert float(alpha_beta(log_p, log_q, tiny, 1 - tiny)) == near


@pytest.mark.parametrize("name", FINITE_AT_ZERO)
def test_a_ruled_out_token_keeps_loss_and_gradient_finite(name):
    log_p = torch.tensor([0.5, 0.5, 0.0, 0.0], dtype=torch.float64).log()
    z = random_logits(3, 4).requires_grad_()
    value = DIVERGENCES[name](log_p, z.log_softmax(-1))
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(z.grad).all()
    assert z.grad.abs().sum() > 0


def test_a_ruled_out_token_counts_as_in_the_limit():
    p, q = (1.0, 0.0), (0.75, 0.25)
    assert by_hand(forward_kl, p, q) == pytest.approx(math.log(4 / 3))
    assert by_hand(skew_kl, p, q) == pytest.approx(-math.log(0.1 + 0.9 * 0.75))
    expected = kl(q, blend(q, p, 0.1))
    assert by_hand(skew_reverse_kl, p, q) == pytest.approx(expected)
    assert by_hand(total_variation, p, q) == pytest.approx(0.25)
    assert by_hand(reverse_kl, p, q) == math.inf


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_logits_give_a_finite_loss_and_gradient(divergence, dtype):
    generator = torch.Generator().manual_seed(0)
    signs = torch.randint(0, 3, (2, 40, 6), generator=generator) - 1
    teacher, student = (1e4 * signs).to(dtype)
    student.requires_grad_()
    value = divergence(teacher.log_softmax(-1), student.log_softmax(-1))
    assert torch.isfinite(value).all()
    value.sum().backward()
    assert torch.isfinite(student.grad).all()


@every
def test_rows_are_independent(divergence):
    teacher, student = random_logits(1, 2, 4, 3, 7).log_softmax(-1)
    whole = divergence(teacher, student)
    assert whole.shape == (4, 3)
    assert torch.allclose(whole[2, 1], divergence(teacher[2, 1], student[2, 1]), atol=1e-14)


@every
def test_the_order_of_the_vocabulary_does_not_matter(divergence):
    teacher, student = random_logits(2, 2, 5, 11).log_softmax(-1)
    order = torch.randperm(11, generator=torch.Generator().manual_seed(0))
    shuffled = divergence(teacher[:, order], student[:, order])
    assert torch.allclose(divergence(teacher, student), shuffled, atol=1e-12)


# The weights of adaptive KL are detached, so its gradient is meant not to be its derivative; it is
# compared with frozen weights above.
@pytest.mark.parametrize("name", [name for name in DIVERGENCES if "adaptive" not in name])
def test_the_gradient_is_the_derivative(name):
    log_p = random_logits(4, 3, 5, spread=1.0).log_softmax(-1)
    z = random_logits(5, 3, 5, spread=1.0).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: DIVERGENCES[name](log_p, x.log_softmax(-1)), (z,))


@every
def test_a_divergence_compiles_into_a_single_graph(divergence):
    teacher, student = random_logits(7, 2, 3, 6).log_softmax(-1)
    torch.compiler.reset()
    compiled = torch.compile(divergence, fullgraph=True, backend="eager")
    assert torch.allclose(compiled(teacher, student), divergence(teacher, student), atol=1e-14)


@pytest.mark.parametrize("name", ["skew_kl", "skew_reverse_kl"])
def test_the_students_share_of_a_skewed_mixture_is_not_detached(name):
    log_p, z = logs(P), logs(Q).requires_grad_()
    DIVERGENCES[name](log_p, z.log_softmax(-1)).backward()
    tiny, gradient = 1e-6, []
    for token in range(2):
        step = tiny * torch.eye(2, dtype=torch.float64)[token]
        up, down = [
            float(DIVERGENCES[name](log_p, (z.detach() + sign * step).log_softmax(-1)))
            for sign in (1, -1)
        ]
        gradient.append((up - down) / (2 * tiny))
    assert z.grad.tolist() == pytest.approx(gradient, abs=1e-8)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("weight", [0, 0.1, 0.5, 0.9, 1])
def test_generalised_jsd_agrees_with_trl(weight, monkeypatch):
    monkeypatch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")
    gkd = pytest.importorskip("trl.experimental.gkd", exc_type=ImportError)
    teacher, student = random_logits(6, 2, 2, 5, 13)
    theirs = gkd.GKDTrainer.generalized_jsd_loss(student, teacher, beta=weight, reduction="none")
    ours = generalised_jsd(teacher.log_softmax(-1), student.log_softmax(-1), weight)
    # Their mixture is computed with a weight in float32.
    assert torch.allclose(ours, theirs.sum(-1), atol=1e-7, rtol=1e-6)
    labels = torch.ones(2, 5)
    mean = gkd.GKDTrainer.generalized_jsd_loss(student, teacher, labels, beta=weight)
    assert float(ours.mean()) == pytest.approx(float(mean), rel=1e-6)
