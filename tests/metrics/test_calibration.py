"""Expected calibration error against the reference's tokens and against the teacher."""

import math

import numpy as np
import pytest
import torch

from kdbench.metrics import Positions, metrics
from kdbench.metrics.calibration import binned, calibration_error

ERRORS = ("ece", "ece_gap", "ece_teacher", "ece_teacher_soft")


def logs(*rows):
    return torch.tensor(rows).log()


def random_logs(seed, *shape, spread=2.0):
    generator = torch.Generator().manual_seed(seed)
    return (spread * torch.randn(*shape, generator=generator)).log_softmax(-1)


def sums(name, log_p, log_q, targets):
    at = Positions(log_p, log_q, torch.as_tensor(targets))
    return metrics.get(name)().sums(at)


def error(name, log_p, log_q, targets):
    position_sums = sums(name, log_p, log_q, targets).double().numpy()
    return float(metrics.get(name)().value(position_sums.sum(0)))


def numpy_ece(confidence, hits):
    """Bin by bin (lo, hi]."""
    confidence, hits = np.asarray(confidence, np.float64), np.asarray(hits, np.float64)
    total = 0.0
    for index in range(10):
        inside = (confidence > index / 10) & (confidence <= (index + 1) / 10)
        if inside.any():
            gap = abs(hits[inside].mean() - confidence[inside].mean())
            total += inside.mean() * gap
    return total


def test_values_worked_out_by_hand():
    # Confidences .9 .9 .6 .6 and hits 1 0 1 1 give half of |.5 - .9| plus half of |1 - .6|.
    rows = logs((0.9, 0.1), (0.9, 0.1), (0.6, 0.4), (0.6, 0.4))
    assert error("ece", rows, rows, [0, 1, 0, 0]) == pytest.approx(0.4, abs=1e-6)


def test_the_teacher_example_worked_out_by_hand():
    student = logs((0.9, 0.1), (0.9, 0.1), (0.6, 0.4), (0.6, 0.4))
    teacher = logs((0.7, 0.3), (0.2, 0.8), (0.7, 0.3), (0.7, 0.3))
    references = [1, 1, 1, 1]  # they do not matter here
    assert error("ece_teacher", teacher, student, references) == pytest.approx(0.4, abs=1e-6)
    # Half of |.45 - .9| plus half of |.7 - .6|.
    soft = error("ece_teacher_soft", teacher, student, references)
    assert soft == pytest.approx(0.275, abs=1e-6)


def test_the_calibration_gap_is_signed():
    sure, unsure = logs((0.9, 0.1), (0.9, 0.1)), logs((0.6, 0.4), (0.6, 0.4))
    # Half of the tokens are hits: the error is .4 at high confidence and .1 at low confidence.
    assert error("ece_gap", unsure, sure, [0, 1]) == pytest.approx(0.3, abs=1e-6)
    assert error("ece_gap", sure, unsure, [0, 1]) == pytest.approx(-0.3, abs=1e-6)


def test_the_confidence_gap_is_unsigned():
    p, q = logs((0.9, 0.1), (0.6, 0.4)), logs((0.3, 0.7), (0.1, 0.9))
    at = Positions(p, q, torch.tensor([0, 0]))
    actual = metrics.get("confidence_gap")().values(at)
    assert actual.tolist() == pytest.approx([0.2, 0.3], abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("vocabulary", [2, 6, 60])
def test_values_equal_those_of_numpy(vocabulary, seed):
    log_p, log_q = random_logs(seed, 2, 200, vocabulary)
    targets = np.random.default_rng(seed).integers(0, vocabulary, 200)
    p, q = (np.exp(side.double().numpy()) for side in (log_p, log_q))
    of_teacher, of_student = p.argmax(-1), q.argmax(-1)
    student = numpy_ece(q.max(-1), of_student == targets)
    teacher = numpy_ece(p.max(-1), of_teacher == targets)
    expected = {
        "ece": student,
        "ece_gap": student - teacher,
        "ece_teacher": numpy_ece(q.max(-1), of_student == of_teacher),
        "ece_teacher_soft": numpy_ece(q.max(-1), p[np.arange(200), of_student]),
    }
    actual = {name: error(name, log_p, log_q, targets) for name in ERRORS}
    assert actual == pytest.approx(expected, abs=1e-5)
    gap = metrics.get("confidence_gap")().values(Positions(log_p, log_q, torch.tensor(targets)))
    assert gap.numpy() == pytest.approx(np.abs(q.max(-1) - p.max(-1)), abs=1e-5)


def test_a_bin_includes_its_upper_end_only():
    confidence = torch.tensor([0.25, 0.5, 0.5 + 2**-20, 1.0, 0.1 - 2**-20, 0.0])
    parts = binned(confidence, torch.ones(6)).reshape(6, 3, 10)
    counts = parts[:, 2]
    assert counts.sum(-1).tolist() == [1] * 6
    assert counts.argmax(-1).tolist() == [2, 4, 5, 9, 0, 0]


def test_a_position_adds_hit_confidence_and_count_to_one_bin():
    parts = binned(torch.tensor([0.35, 0.85]), torch.tensor([0.25, 1.0])).reshape(2, 3, 10)
    expected = torch.zeros(2, 3, 10)
    expected[0, :, 3] = torch.tensor([0.25, 0.35, 1.0])
    expected[1, :, 8] = torch.tensor([1.0, 0.85, 1.0])
    assert torch.equal(parts, expected)


def test_errors_cancel_within_a_bin_but_not_between_bins():
    one_bin = binned(torch.tensor([0.55, 0.55]), torch.tensor([1.0, 0.1])).sum(0)
    assert float(calibration_error(one_bin.numpy())) == pytest.approx(0, abs=1e-6)
    two_bins = binned(torch.tensor([0.55, 0.65]), torch.tensor([1.0, 0.2])).sum(0)
    assert float(calibration_error(two_bins.numpy())) == pytest.approx(0.45, abs=1e-6)


@pytest.mark.parametrize("name", ERRORS)
def test_without_positions_the_error_is_null(name):
    width = sums(name, random_logs(0, 1, 4), random_logs(1, 1, 4), [0]).shape[-1]
    assert width == (60 if name == "ece_gap" else 30)
    assert math.isnan(metrics.get(name)().value(np.zeros(width)))
    assert np.isnan(metrics.get(name)().value(np.zeros((3, width)))).all()


@pytest.mark.parametrize(
    ("name", "direction", "perfect", "sets", "from_top_k"),
    [
        ("ece", "lower", None, ("ref",), "exact"),
        ("ece_gap", "none", 0.0, ("ref",), "exact"),
        ("ece_teacher", "lower", None, ("ref", "teacher", "student"), "exact"),
        ("ece_teacher_soft", "lower", 0.0, ("ref", "teacher", "student"), "undefined"),
        ("confidence_gap", "lower", 0.0, ("ref", "teacher", "student"), "exact"),
    ],
)
def test_unit_and_direction_are_declared(name, direction, perfect, sets, from_top_k):
    metric = metrics.get(name)
    assert (metric.unit, metric.direction, metric.perfect) == ("rate", direction, perfect)
    assert (metric.sets, metric.from_top_k) == (sets, from_top_k)
    assert metric.headline in metric.sets
