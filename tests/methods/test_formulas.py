"""Each method's formula, worked out by hand or compared with a slow second implementation."""

import math

import numpy as np
import pytest
import torch

from kdbench.divergence import alpha_beta, forward_kl, generalised_jsd, reverse_kl, skew_reverse_kl
from kdbench.methods import methods
from kdbench.methods.classmate import ContrastTarget, Subtract
from kdbench.methods.opd import SampledReverseKL
from kdbench.methods.taid import TowardTeacher
from kdbench.training import (
    Batch,
    Chunk,
    CrossEntropy,
    FromMixture,
    FromReplay,
    FromStudent,
    Match,
    Rollout,
)
from kdbench.training.loss import distillation_loss
from kdbench.training.schedule import StepSignals
from kdbench.training.target import tempered
from kdbench.views.view import ModelView, UniformView
from tests.methods.wide_heads import wide_model

WIDTH = 6
TARGETS = (1, 4, 0, 2, 2)
RESPONSES = [
    Rollout("one", (3,), TARGETS[:2], "dataset"),
    Rollout("two", (5, 3), TARGETS[2:], "dataset"),
]


class Fixed:
    """A view whose states are its logits."""

    def __init__(self, logits):
        self.table = logits

    def states(self, _):
        return self.table

    def logits(self, states):
        return states


def logits(seed, *shape, spread=1.5):
    generator = torch.Generator().manual_seed(seed)
    return spread * torch.randn(*shape, generator=generator, dtype=torch.float64)


def views_of(seed=0):
    """Fixed logits of student, teacher and classmate on the response tokens."""
    three = logits(seed, 3, len(TARGETS), WIDTH)
    return dict(zip(("student", "teacher", "classmate"), map(Fixed, three), strict=True))


def probabilities(view, temperature=1.0):
    z = view.table.detach().numpy() / temperature
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def kl(p, q):
    return (p * np.log(p / q)).sum(-1)


def nll(q):
    return -np.log(q[np.arange(len(TARGETS)), list(TARGETS)])


def term_of(name, number=0, **options):
    return methods.get(name)(**options).triple().terms[number]


def of_origin(origin, responses=RESPONSES):
    return [Rollout(r.id, r.prompt_ids, r.response_ids, origin) for r in responses]


def loss_of(name, views, responses=RESPONSES, schedule=None, **options):
    triple = methods.get(name)(**options).triple()
    schedule = triple.schedule.values(0.0) if schedule is None else schedule
    value = distillation_loss(triple.terms, Batch(responses), views, None, schedule).value
    return float(value.detach())


def chunk_of(student, views=None, targets=None, plan=None, schedule=None):
    if targets is None:
        targets = torch.zeros(len(student), dtype=torch.long)
    return Chunk(student, views or {}, targets, plan, schedule)


def gradient(function, z):
    at = z.clone().requires_grad_()
    (grad,) = torch.autograd.grad(function(at).sum(), at)
    return grad


# Divergences to the teacher


@pytest.mark.parametrize(("ratio", "temperature"), [(0.5, 1), (0.3, 2), (1, 1), (0, 1), (1, 0.5)])
def test_kd_mixes_cross_entropy_with_the_tempered_divergence(ratio, temperature):
    views = views_of()
    student, teacher = views["student"], views["teacher"]
    divergence = kl(probabilities(teacher, temperature), probabilities(student, temperature))
    token = (1 - ratio) * nll(probabilities(student)) + ratio * temperature**2 * divergence
    loss = loss_of("kd", views, kd_ratio=ratio, temperature=temperature)
    assert loss == pytest.approx(token.mean(), abs=1e-12)


def test_kd_is_by_default_half_of_each_without_temperature():
    views = views_of()
    p, q = probabilities(views["teacher"]), probabilities(views["student"])
    assert loss_of("kd", views) == pytest.approx((0.5 * nll(q) + 0.5 * kl(p, q)).mean())


def test_the_gradient_of_kd_keeps_its_size_at_high_temperature():
    student, teacher = logits(1, 2, len(TARGETS), WIDTH)
    at = {
        t: gradient(
            lambda z, t=t: Match(forward_kl, temperature=t).token(
                chunk_of(z, {"teacher": teacher})
            ),
            student,
        )
        for t in (1000.0, 2000.0)
    }
    # In the limit of Hinton et al.: the difference of the centred logits over V.
    difference = (student - student.mean(-1, keepdim=True)) - (
        teacher - teacher.mean(-1, keepdim=True)
    )
    for grad in at.values():
        assert torch.allclose(grad, difference / WIDTH, atol=1e-2)


@pytest.mark.parametrize("name", ["gkd", "jsd"])
@pytest.mark.parametrize("weight", [0, 0.1, 0.5, 0.9, 1])
def test_generalised_jsd_methods_use_teacher_weight_for_the_teacher(name, weight):
    # Published codes disagree (.1 or .9); here it is the teacher's share of the mixture.
    views = views_of()
    p, q = probabilities(views["teacher"]), probabilities(views["student"])
    m = weight * p + (1 - weight) * q
    expected = weight * kl(p, m) + (1 - weight) * kl(q, m)
    if weight in (0, 1):
        expected = kl(q, p) if weight else kl(p, q)
    loss = loss_of(name, views, teacher_weight=weight)
    assert loss == pytest.approx(expected.mean(), abs=1e-12)


@pytest.mark.parametrize("skew", [0, 0.1, 0.4])
def test_distillm_skews_both_directions(skew):
    views = views_of()
    p, q = probabilities(views["teacher"]), probabilities(views["student"])
    forward, backward = kl(p, skew * p + (1 - skew) * q), kl(q, (1 - skew) * p + skew * q)
    for options, expected in (
        ({"direction": "forward"}, forward),
        ({"direction": "reverse"}, backward),
        ({}, backward),
    ):
        loss = loss_of("distillm", views, skew=skew, **options)
        assert loss == pytest.approx(expected.mean(), abs=1e-12)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sft", lambda p, q: nll(q)),
        ("seqkd", lambda p, q: nll(q)),
        ("imitkd", kl),
        ("rkl", lambda p, q: kl(q, p)),
        ("tvd", lambda p, q: 0.5 * np.abs(p - q).sum(-1)),
        ("opd", lambda p, q: np.log(p / q)[np.arange(5), list(TARGETS)] * nll(q)),
    ],
)
def test_plain_methods_equal_their_formulas(name, expected):
    views = views_of()
    p, q = probabilities(views["teacher"]), probabilities(views["student"])
    assert loss_of(name, views) == pytest.approx(expected(p, q).mean(), abs=1e-12)


def test_seqkd_mixes_in_forward_kl_when_asked():
    views = views_of()
    p, q = probabilities(views["teacher"]), probabilities(views["student"])
    loss = loss_of("seqkd", views, of_origin("teacher"), kd_ratio=0.5)
    assert loss == pytest.approx((0.5 * nll(q) + 0.5 * kl(p, q)).mean())


def test_akl_weighs_forward_and_reverse_kl_by_the_gaps_of_head_and_tail():
    views = views_of()
    p, q = probabilities(views["teacher"]), probabilities(views["student"])
    expected = []
    for p_row, q_row in zip(p, q, strict=True):
        order = np.argsort(p_row)[::-1]
        beyond = np.cumsum(p_row[order]) > 0.5
        beyond[0] = False
        tail = order[beyond]
        gap = np.abs(p_row - q_row)
        share = gap[tail].sum() / gap.sum()
        expected.append((1 - share) * kl(p_row, q_row) + share * kl(q_row, p_row))
    assert loss_of("akl", views) == pytest.approx(np.mean(expected), abs=1e-12)


def test_abkd_uses_the_papers_exponents_and_differs_from_reverse_kl():
    views = views_of()
    p, q = probabilities(views["teacher"]), probabilities(views["student"])
    a, b = 0.2, 0.7
    inner = p**a * q**b - a / (a + b) * p ** (a + b) - b / (a + b) * q ** (a + b)
    loss = loss_of("abkd", views)
    assert loss == pytest.approx((-inner.sum(-1) / (a * b)).mean(), abs=1e-12)
    assert abs(loss - kl(q, p).mean()) > 1e-2
    assert loss_of("abkd", views, alpha=0, beta=1) == pytest.approx(kl(q, p).mean())
    assert loss_of("abkd", views, alpha=1, beta=0) == pytest.approx(kl(p, q).mean())


def test_losses_are_the_mean_over_all_tokens_not_over_rows():
    views = views_of()
    token = nll(probabilities(views["student"]))
    loss = loss_of("sft", views)
    assert loss == pytest.approx(token.mean())
    assert abs(loss - (token[:2].mean() + token[2:].mean()) / 2) > 1e-3


# Policy gradients


def test_the_expected_gradient_of_opd_is_that_of_reverse_kl():
    student, teacher = logits(2, 2, 1, WIDTH)
    log_p, q = teacher.log_softmax(-1), student.softmax(-1)[0]
    expected = torch.zeros_like(student)
    for token in range(WIDTH):
        views, y = {"teacher": teacher}, torch.tensor([token])
        expected += q[token] * gradient(
            lambda z, views=views, y=y: SampledReverseKL().token(chunk_of(z, views, y)), student
        )
    exact = gradient(lambda z: reverse_kl(log_p, z.log_softmax(-1)), student)
    assert torch.allclose(expected, exact, atol=1e-14)


def test_the_advantage_of_opd_carries_no_gradient():
    student, teacher = logits(3, 2, 4, WIDTH)
    y = torch.tensor([0, 1, 2, 5])
    actual = gradient(
        lambda z: SampledReverseKL().token(chunk_of(z, {"teacher": teacher}, y)), student
    )
    gap = (teacher.log_softmax(-1) - student.log_softmax(-1)).gather(-1, y[:, None])
    onehot = torch.nn.functional.one_hot(y, WIDTH)
    assert torch.allclose(actual, -gap * (onehot - student.softmax(-1)), atol=1e-14)


class FixedDraw:
    """A draw with known log-probabilities."""

    def __init__(self, student, teacher):
        self.known = {"student": student, "teacher": teacher}

    def target_log_probs(self, _, view):
        return self.known[view]

    def sum_over_processes(self, numbers):
        return list(numbers)


LOG_Q = [[-1.0, -2.5, -0.3], [-0.7], [-3.0, -0.1, -1.2, -2.2, -0.9]]
LOG_P = [[-1.5, -0.5, -0.4], [-2.7], [-0.2, -0.3, -4.0, -1.2, -0.9]]


def recorded(minillm, log_q=LOG_Q, log_p=LOG_P):
    rollouts = [Rollout(str(n), (0,), (1,) * len(row), "student") for n, row in enumerate(log_q)]
    source = minillm.triple().source
    assert isinstance(source, FromMixture)
    return source.record(FixedDraw(log_q, log_p), rollouts)


@pytest.mark.parametrize("mix", [0.0, 0.2, 1.0])
def test_minillm_records_probabilities_under_the_sampled_mixture(mix):
    for rollout, q, p in zip(
        recorded(methods.get("minillm")(teacher_mix=mix)), LOG_Q, LOG_P, strict=True
    ):
        expected = [
            math.log((1 - mix) * math.exp(a) + mix * math.exp(b)) for a, b in zip(q, p, strict=True)
        ]
        assert rollout.recorded["log_sampled"] == pytest.approx(expected, abs=1e-6)


def test_minillm_clips_the_ratio_with_the_importance_weight_inside():
    # q_old = .5, p = .9: p̃ = .58 and w = .862. The student is at .62, 1.24 times q_old, which
    # would be clipped alone; the ratio with w is 1.069 and is not.
    (rollout,) = recorded(methods.get("minillm")(), [[math.log(0.5)]], [[math.log(0.9)]])
    log_sampled = torch.tensor(rollout.recorded["log_sampled"], dtype=torch.float64)
    assert float(log_sampled.exp()) == pytest.approx(0.58)
    z = torch.tensor([[math.log(0.62 / 0.38), 0.0]], dtype=torch.float64)
    plan = {"log_sampled": log_sampled, "advantage": torch.ones(1, dtype=torch.float64)}
    objective = term_of("minillm").objective
    assert float(objective.token(chunk_of(z, plan=plan))) == pytest.approx(-0.62 / 0.58)
    actual = gradient(lambda at: objective.token(chunk_of(at, plan=plan)), z)
    assert float(actual[0, 0]) == pytest.approx(-0.62 / 0.58 * 0.38)


def slow_advantages(log_q, log_p, discount=0.95, scale=0.5, clip=100.0, length_norm=True):
    rows = []
    for q, p in zip(log_q, log_p, strict=True):
        r = [min(clip, max(-clip, (b - a) / scale)) for a, b in zip(q, p, strict=True)]
        rest = [
            sum(discount ** (k - t) * r[k] for k in range(t, len(r)))
            / (len(r) - t if length_norm else 1)
            for t in range(len(r))
        ]
        rows.append(rest)
    flat = np.concatenate(rows)
    return [((np.array(row) - flat.mean()) / flat.std()).tolist() for row in rows]


@pytest.mark.parametrize(
    ("options", "same"),
    [
        ({}, {}),
        ({"discount": 0.5}, {"discount": 0.5}),
        ({"length_norm": False}, {"length_norm": False}),
        ({"reward_scale": 2.0, "reward_clip": 1.0}, {"scale": 2.0, "clip": 1.0}),
    ],
)
def test_minillms_advantages_equal_a_slow_implementation(options, same):
    actual = methods.get("minillm")(**options).advantages(LOG_Q, LOG_P)
    expected = slow_advantages(LOG_Q, LOG_P, **same)
    for advantages, other in zip(actual, expected, strict=True):
        assert advantages == pytest.approx(other, abs=1e-5)
    kept = [
        list(rollout.recorded["advantage"])
        for rollout in recorded(methods.get("minillm")(**options))
    ]
    assert kept == actual


def test_padding_does_not_leak_into_minillms_advantages():
    # A row's own advantages, before whitening, do not know how long the others are; so with a
    # copy of all tokens in further short rows, mean and deviation do not change.
    minillm = methods.get("minillm")(discount=0.0, length_norm=False)
    flat_q, flat_p = [[v for row in rows for v in row] for rows in (LOG_Q, LOG_P)]
    apart = minillm.advantages([[v] for v in flat_q], [[v] for v in flat_p])
    together = minillm.advantages([flat_q], [flat_p])
    mixed = minillm.advantages(LOG_Q, LOG_P)
    flatten = [value for row in mixed for value in row]
    assert flatten == pytest.approx(together[0], abs=1e-5)
    assert flatten == pytest.approx([row[0] for row in apart], abs=1e-5)


@pytest.mark.parametrize("discount", [0.0, 0.5, 0.95])
def test_minillms_discount_does_not_underflow_on_a_long_response(discount):
    generator = torch.Generator().manual_seed(0)
    log_q, log_p = (-3 * torch.rand(2, 3000, generator=generator)).tolist()
    (actual,) = methods.get("minillm")(discount=discount).advantages([log_q], [log_p])
    assert np.isfinite(actual).all()
    assert np.std(actual[:1000]) > 0
    assert np.std(actual) == pytest.approx(1, abs=1e-3)


def test_minillm_adds_the_unweighted_single_step_term():
    views = views_of()
    responses = [
        rollout.with_recorded(advantage=[0.5] * n, log_sampled=[-1.0] * n)
        for rollout in of_origin("student")
        for n in [len(rollout.response_ids)]
    ]
    p, q = probabilities(views["teacher"]), probabilities(views["student"])
    ratio = np.exp(-nll(q) + 1)
    policy = -np.minimum(0.5 * ratio, 0.5 * np.clip(ratio, 0.8, 1.2))
    loss = loss_of("minillm", views, responses)
    assert loss == pytest.approx((policy + kl(q, p)).mean(), abs=1e-7)
    alone = loss_of("minillm", views, responses, single_step=0)
    assert alone == pytest.approx(policy.mean(), abs=1e-7)


# A moving target


@pytest.mark.parametrize("weight", [0.0, 0.4, 1.0])
def test_taids_gradient_is_that_of_cross_entropy_to_a_fixed_target(weight):
    student, teacher = logits(4, 2, 5, WIDTH)
    target = ((1 - weight) * student + weight * teacher).softmax(-1)
    views, schedule = {"teacher": teacher}, {"teacher_weight": weight}
    actual = gradient(
        lambda z: TowardTeacher().token(chunk_of(z, views, schedule=schedule)), student
    )
    assert torch.allclose(actual, student.softmax(-1) - target, atol=1e-14)


def test_taid_moves_from_its_start_to_soft_cross_entropy():
    views = views_of()
    p, q = probabilities(views["teacher"]), probabilities(views["student"])
    ended = loss_of("taid", views, schedule={"teacher_weight": 1.0})
    assert ended == pytest.approx(-(p * np.log(q)).sum(-1).mean())
    z = 0.7 * views["student"].table + 0.3 * views["teacher"].table
    expected = -(probabilities(Fixed(z)) * np.log(q)).sum(-1).mean()
    assert loss_of("taid", views, start=0.3) == pytest.approx(expected)


def test_the_step_size_and_momentum_of_taid_are_keys():
    schedule = methods.get("taid")(start=0.0, step_size=0.5, momentum=0.0).triple().schedule
    schedule.after_step(StepSignals(1, 0.0, 1.0))
    schedule.after_step(StepSignals(1, 0.0, 0.5))  # a fall by a half: t rises by .5 sigmoid(.5)
    assert schedule.values(0.0)["teacher_weight"] == pytest.approx(0.5 / (1 + math.exp(-0.5)))


@pytest.mark.parametrize("name", ["rkl", "jsd", "tvd"])
def test_the_plain_divergences_can_train_on_student_samples(name):
    assert str(methods.get(name)().triple().source) == "dataset"
    assert str(methods.get(name)(student_fraction=1).triple().source) == "student"


def test_schedules_see_the_loss_without_pretraining_texts():
    """TAID's weight must not react to a loss that has nothing to do with the teacher."""
    views = {"student": views_of()["student"], "teacher": views_of()["teacher"]}
    triple = methods.get("kd")().triple()
    both = triple.with_pretraining([(1, 2, 3)], 3.0)
    plain, texts = RESPONSES[:1], of_origin("pretraining", RESPONSES[1:])
    tokens = len(plain[0].response_ids)
    found = distillation_loss(both.terms, Batch([*plain, *texts]), views)
    assert float(found.value) > float(found.distillation) > 0
    alone = sum(
        term.weight * float(found.terms[key]) / tokens
        for key, term in enumerate(both.terms)
        if "pretraining" not in term.on
    )
    assert float(found.distillation) == pytest.approx(alone)


# Away from a classmate


@pytest.mark.parametrize("strength", [0.05, 0.25, 1.0])
def test_subtracting_scales_the_gradient_of_the_contrasted_target(strength):
    student, teacher, classmate = logits(5, 3, 8, WIDTH)
    views = {"teacher": teacher, "classmate": classmate}
    weight = strength / (1 + strength)

    def of(objective):
        return gradient(lambda z: objective.token(chunk_of(z, views)), student)

    subtracted = of(Subtract(strength, 0.0, clamp=100.0))
    contrasted = of(ContrastTarget(strength, 0.0, "reverse_kl"))
    assert subtracted.abs().max() > 1e-2
    assert torch.allclose(subtracted, (1 - weight) * contrasted, atol=1e-13)


def test_subtracting_is_reverse_kl_minus_the_clamped_classmate_term():
    views = views_of()
    q, p, c = (probabilities(views[name]) for name in ("student", "teacher", "classmate"))
    expected = kl(q, p) - 0.2 * np.minimum(kl(q, c), 0.7)
    assert (kl(q, c) > 0.7).any()
    assert (kl(q, c) < 0.7).any()
    options = {"form": "subtract", "strength": 0.25, "clamp": 0.7}
    loss = loss_of("classmate", views, of_origin("student"), **options)
    assert loss == pytest.approx(expected.mean(), abs=1e-12)


def test_a_clamped_token_is_no_longer_driven_away_from_the_classmate():
    student, teacher, classmate = logits(6, 3, 4, WIDTH)
    views = {"teacher": teacher, "classmate": classmate}
    actual = gradient(lambda z: Subtract(0.25, clamp=1e-9).token(chunk_of(z, views)), student)
    plain = gradient(lambda z: reverse_kl(teacher.log_softmax(-1), z.log_softmax(-1)), student)
    assert torch.allclose(actual, plain, atol=1e-14)


PLAIN = {"skew_reverse_kl": skew_reverse_kl, "reverse_kl": reverse_kl, "jsd": generalised_jsd}


@pytest.mark.parametrize("divergence", PLAIN)
@pytest.mark.parametrize("plausibility", [0.0, 0.1])
def test_with_the_teacher_as_classmate_distillation_is_plain(divergence, plausibility):
    student, teacher = logits(7, 2, 8, WIDTH)
    views = {"teacher": teacher, "classmate": teacher}
    actual = ContrastTarget(0.25, plausibility, divergence).token(chunk_of(student, views))
    log_p = teacher.log_softmax(-1)
    if divergence == "skew_reverse_kl":  # implausible tokens are dropped for any classmate
        cut = log_p.exp() < plausibility * log_p.exp().max(-1, keepdim=True).values
        assert bool(cut.any()) == bool(plausibility)
        log_p = log_p.masked_fill(cut, -torch.inf).log_softmax(-1)
    expected = PLAIN[divergence](log_p, student.log_softmax(-1))
    assert torch.allclose(actual, expected, atol=1e-12)


def test_subtracting_the_teacher_itself_only_scales_reverse_kl():
    student, teacher = logits(8, 2, 8, WIDTH)
    views = {"teacher": teacher, "classmate": teacher}
    actual = Subtract(0.25, clamp=100.0).token(chunk_of(student, views))
    plain = reverse_kl(teacher.log_softmax(-1), student.log_softmax(-1))
    assert torch.allclose(actual, 0.8 * plain)


@pytest.mark.parametrize("divergence", PLAIN)
def test_a_uniform_classmate_gives_distillation_from_the_tempered_teacher(divergence):
    student, teacher = logits(9, 2, len(TARGETS), WIDTH)
    views = {
        "student": Fixed(student),
        "teacher": Fixed(teacher),
        "classmate": UniformView(WIDTH),
    }
    options = {"strength": 0.25, "plausibility": 0, "divergence": divergence}
    loss = loss_of("classmate", views, of_origin("student"), **options)
    expected = PLAIN[divergence](tempered(teacher, 0.8), student.log_softmax(-1)).mean()
    assert loss == pytest.approx(float(expected), abs=1e-7)


def test_zero_strength_without_a_cut_is_plain_distillation():
    views = views_of()
    p, q = probabilities(views["teacher"]), probabilities(views["student"])
    options = {"strength": 0, "plausibility": 0}
    loss = loss_of("classmate", views, of_origin("student"), **options)
    assert loss == pytest.approx(kl(q, 0.9 * p + 0.1 * q).mean(), abs=1e-12)
    loss = loss_of("classmate", views, of_origin("student"), form="subtract", strength=0)
    assert loss == pytest.approx(kl(q, p).mean(), abs=1e-12)


def test_the_classmate_is_not_used_on_the_dataset():
    views = views_of()
    p, q = probabilities(views["teacher"]), probabilities(views["student"])
    assert loss_of("classmate", views) == pytest.approx(kl(p, q).mean(), abs=1e-12)


def test_the_default_target_worked_out_by_hand():
    # Skew reverse KL to p²⁵ᐟ²⁰ c⁻¹ᐟ⁴ on tokens of at least a tenth of the most likely one.
    views = views_of()
    q, p, c = (probabilities(views[name]) for name in ("student", "teacher", "classmate"))
    scores = p**1.25 * c**-0.25 * (p >= 0.1 * p.max(-1, keepdims=True))
    target = scores / scores.sum(-1, keepdims=True)
    expected = kl(q, 0.9 * target + 0.1 * q).mean()
    loss = loss_of("classmate", views, of_origin("student"))
    assert loss == pytest.approx(expected, abs=1e-12)


# Limits of every method

ON_POLICY = (FromStudent, FromReplay, FromMixture)
EVERY = [
    *((name, {}) for name in methods.names()),
    ("classmate", {"form": "subtract"}),
    ("distillm", {"direction": "forward", "threshold": 1.0}),
    ("seqkd", {"kd_ratio": 0.5}),
    ("minillm", {"teacher_mix": 0.0}),
]


@pytest.mark.parametrize(("name", "options"), EVERY)
@pytest.mark.parametrize("pretraining", [False, True])
def test_cross_entropy_never_applies_to_student_samples(name, options, pretraining):
    triple = methods.get(name)(**options).triple()
    on_policy = isinstance(triple.source, ON_POLICY)
    if pretraining:
        triple = triple.with_pretraining([(1, 2, 3)], 1.0)
    fitted = [term for term in triple.terms if isinstance(term.objective, CrossEntropy)]
    if on_policy:
        assert all(term.on and "student" not in term.on for term in fitted)
    if pretraining:
        assert fitted[-1].on == ("pretraining",)


@pytest.mark.parametrize("name", ["gkd", "distillm", "classmate", "opd", "imitkd"])
def test_pretraining_does_not_change_the_loss_of_student_samples(name):
    views, responses = views_of(), of_origin("student")
    triple = methods.get(name)().triple()
    batch, schedule = Batch(responses), triple.schedule.values(0.0)
    plain, with_texts = [
        distillation_loss(variant.terms, batch, views, None, schedule).value
        for variant in (triple, triple.with_pretraining([(1, 2, 3)], 1.0))
    ]
    assert torch.equal(plain, with_texts)


def test_fine_tuning_is_the_loss_that_transformers_computes():
    model = wide_model(WIDTH)
    longest = max(len(rollout.prompt_ids) + len(rollout.response_ids) for rollout in RESPONSES)
    ids, labels, attention = torch.zeros(3, len(RESPONSES), longest, dtype=torch.long)
    labels -= 100
    for row, rollout in enumerate(RESPONSES):
        whole = torch.tensor(rollout.prompt_ids + rollout.response_ids)
        ids[row, : len(whole)], attention[row, : len(whole)] = whole, 1
        labels[row, len(rollout.prompt_ids) : len(whole)] = torch.tensor(rollout.response_ids)
    theirs = model(input_ids=ids, attention_mask=attention, labels=labels).loss.detach()
    ours = loss_of("sft", {"student": ModelView(model, WIDTH)})
    assert ours == pytest.approx(float(theirs), abs=1e-6)


def test_the_head_is_cut_before_the_softmax():
    batch = Batch(RESPONSES)
    wide, narrow = ModelView(wide_model(WIDTH, 3), WIDTH), ModelView(wide_model(WIDTH), WIDTH)
    actual = wide.logits(wide.states(batch))
    assert actual.shape == (5, WIDTH)
    torch.testing.assert_close(actual, narrow.logits(narrow.states(batch)))


def test_abkd_uses_the_same_divergence_as_the_fidelity_metrics():
    objective = term_of("abkd").objective
    assert isinstance(objective, Match)
    assert objective.divergence is alpha_beta
    assert dict(objective.options) == {"alpha": 0.2, "beta": 0.7}


@pytest.mark.parametrize(
    ("alpha", "beta", "fault"),
    [
        (1e-3, 0.7, "alpha of 0.001 is too near to 0"),
        (0.2, -1e-6, "beta of -1e-06 is too near to 0"),
        (0.5, -0.499, "the sum of 0.001 is too near to 0"),
        (11, 0.7, "less than or equal to 10"),
    ],
)
def test_abkd_refuses_powers_that_leave_no_digits(alpha, beta, fault):
    with pytest.raises(ValueError, match=fault):
        methods.get("abkd")(alpha=alpha, beta=beta)


@pytest.mark.parametrize(
    ("alpha", "beta"), [(0.01, 0.7), (0.7, 0.01), (0.01, 0), (0.5, -0.49), (10, -10), (0, 10)]
)
def test_abkd_has_digits_left_at_the_powers_that_it_takes(alpha, beta):
    """In float32 and over a vocabulary of 20,000 tokens."""
    objective = term_of("abkd", alpha=alpha, beta=beta).objective
    student, teacher = logits(11, 2, 20_000)
    both = [
        float(
            objective.token(chunk_of(student[None].to(dtype), {"teacher": teacher[None].to(dtype)}))
        )
        for dtype in (torch.float32, torch.float64)
    ]
    assert both[0] == pytest.approx(both[1], rel=2e-2)
