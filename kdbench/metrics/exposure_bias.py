"""Exposure bias: how much worse the student agrees with its teacher on its own prefixes.

Metric: ExAccErr(l) = 100 (R(l) - l eps(l)) / (l eps(l)) percent, with R(l) the forward KL summed
        over the first l tokens of the student's own responses, l eps(l) the same on the teacher's;
        each token index is averaged over the responses that reach it. 0 is no exposure bias; it may
        be negative and has no upper end. Here at l = 16, exact; for every l see the curve
        `exposure_error`.
Source: Gu et al. 2024 (MiniLLM), after Arora et al. 2022; there, too, at the 16th token.
"""

from typing import TYPE_CHECKING

from kdbench.metrics import CurveMetric, metrics
from kdbench.metrics.retained import ratio

if TYPE_CHECKING:
    import numpy as np


@metrics.register("exposure_error")
class ExposureError(CurveMetric):
    """Accumulated forward KL on the student's prefixes over that on the teacher's, less 1."""

    name = "exposure_error"
    unit = "percent"
    direction = "lower"
    curve = "fkl"
    sets = ("student", "teacher")
    length = 16

    def value(self, first: "np.ndarray", second: "np.ndarray") -> "np.ndarray":
        """Percent."""
        return excess(first.sum(-1), second.sum(-1))


def excess(student: "np.ndarray", teacher: "np.ndarray") -> "np.ndarray":
    """100 (R - l eps) / (l eps); NaN where l eps is 0."""
    return 100 * ratio(student - teacher, teacher)
