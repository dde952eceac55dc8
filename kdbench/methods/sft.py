"""Supervised fine-tuning without a teacher: the row that every method must beat.

Objective: -log q(y), the mean over all response tokens of the step.
Data: the dataset's responses.
"""

from typing import ClassVar

from kdbench.methods import Method, methods
from kdbench.training import CrossEntropy, Triple


@methods.register("sft")
class SFT(Method):
    """Cross-entropy on the dataset; needs no teacher."""

    title: ClassVar[str] = "SFT"
    paper: ClassVar[str] = "-"
    cost: ClassVar[str] = "nothing more"
    family: ClassVar[str] = "baselines"
    basis: ClassVar[str] = "-"
    needs_teacher: ClassVar[bool] = False

    def triple(self) -> Triple:
        """Cross-entropy on the dataset."""
        return Triple(CrossEntropy())
