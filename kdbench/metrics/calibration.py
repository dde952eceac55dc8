"""Calibration of the student, on the reference and against its teacher.

Metric: expected calibration error over all positions, 0 to 1: the sum over 10 equal bins (lo, hi]
        of top-1 confidence of n_b/N |hits_b - confidence_b|. A hit is the reference's token for
        `ece`, the teacher's most likely token for `ece_teacher`, and the teacher's probability of
        the student's choice for `ece_teacher_soft`. `ece_gap` is the student's `ece` minus the
        teacher's: a faithful student of an over-confident teacher is over-confident too.
        `confidence_gap` is the mean of |max q - max p|.
Source: Guo et al. 2017 (arXiv 1706.04599); bins as in Stanton et al. 2021.
"""

from typing import TYPE_CHECKING

from kdbench.metrics import PooledTokenMetric, Positions, TokenMetric, metrics

if TYPE_CHECKING:
    import numpy as np
    import torch

BINS = 10


class _Calibration(PooledTokenMetric):
    unit = "rate"
    direction = "lower"

    def value(self, sums: "np.ndarray") -> "np.ndarray":
        """Compute the expected calibration error."""
        return calibration_error(sums)


@metrics.register("ece")
class Calibration(_Calibration):
    """Expected calibration error of the student on the reference's tokens."""

    name = "ece"
    sets = ("ref",)
    headline = "ref"
    from_top_k = "exact"

    def sums(self, at: Positions) -> "torch.Tensor":
        """Return hits, confidence and count of each bin."""
        log_q, choice = at.student_top(1)
        return binned(log_q[:, 0].exp(), (choice[:, 0] == at.targets).float())


@metrics.register("ece_gap")
class CalibrationGap(PooledTokenMetric):
    """Calibration error on the reference: the student's minus the teacher's."""

    by_default = False
    name = "ece_gap"
    unit = "rate"
    direction = "none"
    perfect = 0.0
    sets = ("ref",)
    headline = "ref"
    from_top_k = "exact"

    def sums(self, at: Positions) -> "torch.Tensor":
        """Return the student's bins, then the teacher's."""
        import torch

        both = (at.student_top(1), at.teacher_top(1))
        bins = [binned(log[:, 0].exp(), (ids[:, 0] == at.targets).float()) for log, ids in both]
        return torch.cat(bins, -1)

    def value(self, sums: "np.ndarray") -> "np.ndarray":
        """Positive if the student is calibrated worse."""
        student, teacher = sums[..., : 3 * BINS], sums[..., 3 * BINS :]
        gap: np.ndarray = calibration_error(student) - calibration_error(teacher)
        return gap


@metrics.register("ece_teacher")
class CalibrationToTeacher(_Calibration):
    """Calibration error of the student against the teacher's most likely tokens."""

    by_default = False
    name = "ece_teacher"
    from_top_k = "exact"

    def sums(self, at: Positions) -> "torch.Tensor":
        """Return hits, confidence and count of each bin."""
        log_q, choice = at.student_top(1)
        return binned(log_q[:, 0].exp(), (choice == at.teacher_top(1)[1])[:, 0].float())


@metrics.register("ece_teacher_soft")
class SoftCalibrationToTeacher(_Calibration):
    """Calibration error of the student against the teacher's probability of its choice."""

    by_default = False
    name = "ece_teacher_soft"
    perfect = 0.0

    def sums(self, at: Positions) -> "torch.Tensor":
        """Return the teacher's probability, confidence and count of each bin."""
        log_q, choice = at.student_top(1)
        return binned(log_q[:, 0].exp(), at.teacher_log_prob(choice)[:, 0].exp())


@metrics.register("confidence_gap")
class ConfidenceGap(TokenMetric):
    """Absolute difference of the two models' top-1 confidence."""

    by_default = False
    name = "confidence_gap"
    unit = "rate"
    direction = "lower"
    perfect = 0.0
    from_top_k = "exact"

    def values(self, at: Positions) -> "torch.Tensor":
        """Return the difference, 0 to 1."""
        return (at.student_top(1)[0].exp() - at.teacher_top(1)[0].exp()).abs()[:, 0]


def binned(confidence: "torch.Tensor", hits: "torch.Tensor") -> "torch.Tensor":
    """Sort positions into bins: hits, confidence and count of each, two of (n,) to (n, 3 x 10)."""
    import torch

    one_hot = torch.nn.functional.one_hot(
        ((confidence * BINS).ceil().long() - 1).clamp(0, BINS - 1), BINS
    )
    parts = torch.stack([hits, confidence, torch.ones_like(hits)], -1)
    return (parts[:, :, None] * one_hot[:, None, :]).flatten(1)


def calibration_error(sums: "np.ndarray") -> "np.ndarray":
    """Compute the error from summed bins, (..., 3 x 10) to (...); NaN without positions."""
    import numpy as np

    hits, confidence, count = np.split(sums, 3, axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        error: np.ndarray = np.abs(hits - confidence).sum(-1) / count.sum(-1)
    return error
