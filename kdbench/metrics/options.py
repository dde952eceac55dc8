"""Probabilities of the options of multiple-choice tasks: divergence and calibration.

Metric: a model's distribution over the options of a document is the softmax of their
        log-probabilities given the prompt, each the sum over the option's tokens, as lm-eval's
        `acc` compares them: not divided by length. Such sums do not depend on a tokenizer, so
        these metrics compare any two models. Divergences of the teacher's p and the student's q are
        in nats, means over documents. `option_ece` is the expected calibration error of the chosen
        option's probability over 10 equal bins (lo, hi], a hit being a right answer; with few
        documents it is above 0 even for a calibrated model.
Source: Hendrycks et al. 2021 (arXiv 2009.03300), calibration over options; Guo et al. 2017 (arXiv
        1706.04599), the error.
"""

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kdbench import divergence
from kdbench.metrics import Answer, OptionMetric, PairMetric, PooledPairMetric, metrics
from kdbench.metrics.calibration import BINS, calibration_error

if TYPE_CHECKING:
    import numpy as np
    import torch

NO_OPTIONS = "not a multiple-choice task, so there are no options to choose from"


class _OptionDivergence(PairMetric):
    compares = "options"
    unit = "nats"
    direction = "lower"
    perfect = 0.0
    undefined = NO_OPTIONS

    def score(self, student: Answer, teacher: Answer) -> float | None:
        """Return the divergence of the two distributions over options; None if there are none."""
        import torch

        if student.options is None or teacher.options is None:
            return None
        log_p, log_q = (
            torch.tensor(answer.options, dtype=torch.float64) for answer in (teacher, student)
        )
        return max(0.0, float(self.between(log_p, log_q)))  # removes rounding errors

    @abstractmethod
    def between(self, log_p: "torch.Tensor", log_q: "torch.Tensor") -> "torch.Tensor":
        """Compare two distributions over V options, (V,) each."""


@metrics.register("option_fkl")
class OptionForwardKL(_OptionDivergence):
    """Forward KL divergence KL(p‖q) over the options, with the teacher p first."""

    name = "option_fkl"

    def between(self, log_p: "torch.Tensor", log_q: "torch.Tensor") -> "torch.Tensor":
        """Return KL(p‖q)."""
        return divergence.forward_kl(log_p, log_q)


@metrics.register("option_rkl")
class OptionReverseKL(_OptionDivergence):
    """Reverse KL divergence KL(q‖p) over the options, with the student q first."""

    name = "option_rkl"

    def between(self, log_p: "torch.Tensor", log_q: "torch.Tensor") -> "torch.Tensor":
        """Return KL(q‖p)."""
        return divergence.reverse_kl(log_p, log_q)


@metrics.register("option_jsd")
class OptionJensenShannon(_OptionDivergence):
    """Jensen-Shannon divergence over the options, at most ln 2."""

    name = "option_jsd"

    def between(self, log_p: "torch.Tensor", log_q: "torch.Tensor") -> "torch.Tensor":
        """Return the divergence, 0 to ln 2."""
        return divergence.generalised_jsd(log_p, log_q)


@metrics.register("option_ece")
class OptionCalibration(OptionMetric):
    """Expected calibration error of the chosen option's probability."""

    name = "option_ece"
    unit = "rate"
    direction = "lower"

    def sums(self, answer: Answer) -> Sequence[float]:
        """Return hits, confidence and count of each bin; zeros if nothing is known to be right."""
        return _bins(answer)

    def value(self, sums: "np.ndarray") -> "np.ndarray":
        """Compute the error."""
        return calibration_error(sums)


@metrics.register("option_ece_gap")
class OptionCalibrationGap(PooledPairMetric):
    """Calibration error over options: the student's minus the teacher's."""

    compares = "options"
    name = "option_ece_gap"
    unit = "rate"
    direction = "none"
    perfect = 0.0
    undefined = NO_OPTIONS

    def sums(self, student: Answer, teacher: Answer) -> Sequence[float]:
        """Return the student's bins, then the teacher's."""
        return [*_bins(student), *_bins(teacher)]

    def value(self, sums: "np.ndarray") -> "np.ndarray":
        """Positive if the student is calibrated worse."""
        student, teacher = sums[..., : 3 * BINS], sums[..., 3 * BINS :]
        gap: np.ndarray = calibration_error(student) - calibration_error(teacher)
        return gap


def _bins(answer: Answer) -> list[float]:
    """Hits, confidence and count of each bin, as `calibration_error` takes them."""
    sums = [0.0] * (3 * BINS)
    if answer.options is not None and answer.right is not None:
        confidence = math.exp(max(answer.options))
        place = min(max(math.ceil(confidence * BINS) - 1, 0), BINS - 1)
        for part, number in enumerate((float(answer.right), confidence, 1.0)):
            sums[part * BINS + place] = number
    return sums
