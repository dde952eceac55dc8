"""Exposure bias: excess divergence from the teacher on the student's own prefixes.

Metric: ExAccErr(l) = 100 (R(l) - l eps(l)) / (l eps(l)) percent. R(l) is the forward KL summed over
        the first l tokens of the student's responses, l eps(l) is the same sum on the teacher's
        responses; each token index is averaged over the responses that reach it. 0 means no
        exposure bias; the value may be negative and has no upper limit. It is reported at l = 16,
        exactly; the curve `exposure_error` has other l.
Source: Gu et al. 2024 (MiniLLM), after Arora et al. 2022; also reported at the 16th token there.
"""

from typing import TYPE_CHECKING

from kdbench.metrics import CurveMetric, metrics
from kdbench.metrics.retained import ratio

if TYPE_CHECKING:
    import numpy as np


@metrics.register("exposure_error")
class ExposureError(CurveMetric):
    """MiniLLM's ExAccErr: excess forward KL on the student's prefixes over 16 tokens."""

    name = "exposure_error"
    unit = "percent"
    direction = "lower"
    curve = "fkl"
    sets = ("student", "teacher")
    length = 16

    def value(self, first: "np.ndarray", second: "np.ndarray") -> "np.ndarray":
        """Return the excess in percent."""
        return excess(first.sum(-1), second.sum(-1))


def excess(student: "np.ndarray", teacher: "np.ndarray") -> "np.ndarray":
    """Compute 100 (R - l eps) / (l eps); NaN if l eps is 0.

    Args:
        student: R, accumulated forward KL on the student's responses.
        teacher: l eps, the same on the teacher's responses.
    """
    return 100 * ratio(student - teacher, teacher)
