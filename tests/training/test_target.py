"""Target transforms: invariants, limits and hand-computed values."""

import math

import pytest
import torch

from kdbench.divergence import cross_entropy, forward_kl, reverse_kl
from kdbench.training.target import contrast, interpolated, standardised, tempered, top_k


def logits(seed, *shape, spread=2.0):
    generator = torch.Generator().manual_seed(seed)
    return spread * torch.randn(*shape, generator=generator, dtype=torch.float64)


def three(count=6, width=50):
    """Log-probabilities of teacher, student and classmate."""
    return logits(0, 3, count, width).log_softmax(-1)


def sums(log_probs):
    return log_probs.exp().sum(-1)


def plausible(log_p, share):
    p = log_p.exp()
    return p >= share * p.max(-1, keepdim=True).values


@pytest.mark.parametrize("strength", [0.0, 0.25, 1.0, 9.0])
@pytest.mark.parametrize("plausibility", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("implausible", ["zero", "teacher"])
def test_a_contrasted_target_is_a_distribution(strength, plausibility, implausible):
    log_p, _, log_c = three()
    target = contrast(log_p, log_c, strength, plausibility, implausible)
    assert target.shape == log_p.shape
    assert torch.allclose(sums(target), torch.ones(6, dtype=torch.float64))


@pytest.mark.parametrize("plausibility", [0.0, 0.1, 1.0])
def test_zero_strength_leaves_the_teacher_unchanged_without_a_cut(plausibility):
    log_p, _, log_c = three()
    assert torch.allclose(contrast(log_p, log_c, 0.0, 0.0), log_p)
    kept = contrast(log_p, log_c, 0.0, plausibility, "teacher")
    assert torch.allclose(kept, log_p)


@pytest.mark.parametrize("strength", [0.0, 0.25, 3.0])
def test_a_classmate_equal_to_the_teacher_keeps_plausible_tokens(strength):
    log_p, _, _ = three()
    may = plausible(log_p, 0.1)
    assert torch.allclose(contrast(log_p, log_p, strength, 0.1, "teacher"), log_p)
    zero = contrast(log_p, log_p, strength, 0.1)
    mass = (log_p.exp() * may).sum(-1, keepdim=True)
    assert torch.allclose(zero[may], (log_p - mass.log())[may])
    assert torch.allclose(contrast(log_p, log_p, strength, 0.0), log_p)


@pytest.mark.parametrize("strength", [0.25, 1.0, 3.0])
def test_a_uniform_classmate_only_tempers_the_teacher(strength):
    z = logits(1, 6, 50)
    uniform = torch.zeros_like(z).log_softmax(-1)
    actual = contrast(z.log_softmax(-1), uniform, strength, 0.0)
    assert torch.allclose(actual, tempered(z, 1 / (1 + strength)))


@pytest.mark.parametrize("weight", [0.1, 0.2, 0.3, 0.5, 0.9])
def test_reverse_kl_minus_a_share_of_the_classmates_is_reverse_kl_to_the_contrast(weight):
    log_p, log_q, log_c = three()
    strength = weight / (1 - weight)
    log_z = ((1 + strength) * log_p - strength * log_c).logsumexp(-1)
    subtracted = reverse_kl(log_p, log_q) - weight * reverse_kl(log_c, log_q)
    target = contrast(log_p, log_c, strength, 0.0)
    contrasted = (1 - weight) * reverse_kl(target, log_q) - (1 - weight) * log_z
    assert torch.allclose(subtracted, contrasted, atol=1e-10)


def test_implausible_tokens_get_zero_or_the_teachers_probability():
    log_p, _, log_c = three()
    may = plausible(log_p, 0.1)
    assert 0 < may.sum() < may.numel()
    zero = contrast(log_p, log_c, 0.25, 0.1, "zero")
    assert torch.equal(zero == -torch.inf, ~may)
    kept = contrast(log_p, log_c, 0.25, 0.1, "teacher")
    assert torch.equal(kept[~may], log_p[~may])
    # The plausible tokens share the teacher's mass on them in the proportions of "zero".
    mass = (log_p.exp() * may).sum(-1, keepdim=True)
    assert torch.allclose(kept.exp() * may, mass * zero.exp() * may)


def test_contrast_worked_out_by_hand():
    log_p = torch.tensor([0.6, 0.3, 0.09, 0.01], dtype=torch.float64).log()
    log_c = torch.tensor([0.3, 0.3, 0.2, 0.2], dtype=torch.float64).log()
    # Strength 1 gives p²/c; the first three tokens have at least a tenth of .6: 1.2, .3, .0405.
    scores = torch.tensor([1.2, 0.3, 0.0405, 0.0], dtype=torch.float64)
    assert torch.allclose(contrast(log_p, log_c, 1.0, 0.1).exp(), scores / scores.sum())
    kept = 0.99 * scores / scores.sum() + torch.tensor([0, 0, 0, 0.01], dtype=torch.float64)
    assert torch.allclose(contrast(log_p, log_c, 1.0, 0.1, "teacher").exp(), kept)


def test_contrast_moves_away_from_the_classmate():
    log_p = torch.tensor([0.5, 0.5], dtype=torch.float64).log()
    log_c = torch.tensor([0.8, 0.2], dtype=torch.float64).log()
    target = contrast(log_p, log_c, 0.25).exp()
    assert target[0] < 0.5 < target[1]


def test_a_tiny_classmate_probability_does_not_lift_an_implausible_token():
    log_p = torch.tensor([0.6, 0.39, 0.01], dtype=torch.float64).log()
    log_c = torch.tensor([0.5, 0.5, 1e-300], dtype=torch.float64).log()
    assert contrast(log_p, log_c, 1.0, 0.0).argmax() == 2
    assert contrast(log_p, log_c, 1.0, 0.1).argmax() == 0
    kept = contrast(log_p, log_c, 1.0, 0.1, "teacher")
    assert float(kept[2].exp()) == pytest.approx(0.01)


def test_full_plausibility_keeps_only_the_teachers_top_token():
    log_p, _, log_c = three()
    target = contrast(log_p, log_c, 0.25, 1.0)
    assert torch.equal(target.argmax(-1), log_p.argmax(-1))
    assert torch.allclose(target.max(-1).values, torch.zeros(6, dtype=torch.float64))


@pytest.mark.parametrize("implausible", ["zero", "teacher"])
@pytest.mark.parametrize("plausibility", [0.0, 0.1])
def test_contrast_of_extreme_logits_is_still_a_distribution(implausible, plausibility):
    signs = torch.randint(-1, 2, (2, 30, 8), generator=torch.Generator().manual_seed(0))
    log_p, log_c = (1e4 * signs.float()).log_softmax(-1)
    target = contrast(log_p, log_c, 0.25, plausibility, implausible)
    assert not target.isnan().any()
    assert torch.allclose(sums(target), torch.ones(30))


def test_the_interpolated_target_of_the_worked_example():
    student, teacher = torch.tensor([[2.0, 0.0], [0.0, 2.0]], dtype=torch.float64)
    target = interpolated(student, teacher, 0.4)
    assert target.exp().tolist() == pytest.approx([0.5987, 0.4013], abs=5e-5)
    log_q = student.log_softmax(-1)
    assert float(cross_entropy(target, log_q)) == pytest.approx(0.9296, abs=5e-5)
    assert float(forward_kl(target, log_q)) == pytest.approx(0.2560, abs=5e-5)


def test_interpolation_goes_from_student_to_teacher():
    student, teacher = logits(2, 2, 4, 9)
    assert torch.equal(interpolated(student, teacher, 0.0), student.log_softmax(-1))
    assert torch.equal(interpolated(student, teacher, 1.0), teacher.log_softmax(-1))


def test_no_gradient_flows_through_the_students_part_of_the_target():
    student, teacher = logits(3, 2, 4, 9)
    student.requires_grad_()
    assert not interpolated(student, teacher, 0.4).requires_grad


def test_tempering_divides_the_logits():
    z = logits(4, 5, 7)
    assert torch.allclose(tempered(z, 2.0), (z / 2).log_softmax(-1))
    assert torch.allclose(tempered(z, 1.0), z.log_softmax(-1))
    spread = [float(-(t.exp() * t).sum()) for t in (tempered(z[0], s) for s in (0.5, 1.0, 2.0))]
    assert spread == sorted(spread)


def test_standardised_logits_have_mean_zero_and_deviation_one():
    z = logits(5, 6, 40, spread=5.0) + 3
    expected = torch.stack([(row - row.mean()) / row.std() for row in z]).log_softmax(-1)
    assert torch.allclose(standardised(z), expected)


def test_standardising_removes_shift_and_scale():
    z = logits(6, 6, 40)
    assert torch.allclose(standardised(z), standardised(7 * z - 100))


def test_equal_logits_stay_uniform_when_standardised():
    actual = standardised(torch.full((2, 5), 3.0))
    assert torch.allclose(actual, torch.full((2, 5), -math.log(5)))


def test_top_k_keeps_the_most_likely_tokens_and_renormalises():
    log_p = torch.tensor([0.1, 0.4, 0.2, 0.3], dtype=torch.float64).log()
    actual = top_k(log_p, 2).exp()
    assert actual.tolist() == pytest.approx([0, 0.4 / 0.7, 0, 0.3 / 0.7])
    assert torch.allclose(top_k(log_p, 4), log_p)


def test_top_k_works_row_by_row():
    log_p, _, _ = three()
    actual = top_k(log_p, 5)
    assert torch.equal((actual > -torch.inf).sum(-1), torch.full((6,), 5))
    assert torch.allclose(sums(actual), torch.ones(6, dtype=torch.float64))
    for row, kept in zip(log_p, actual, strict=True):
        assert torch.equal(row.argsort(descending=True)[:5], kept.argsort(descending=True)[:5])
