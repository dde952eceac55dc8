"""Generalised Jensen-Shannon divergence on the dataset.

Paper: Wen et al. 2023 (arXiv 2307.15190); generalised by Agarwal et al. 2024 (arXiv 2306.13649).
Objective: w KL(p‖m) + (1-w) KL(q‖m), m = w p + (1-w) q; w = `teacher_weight`. Three public codes
    use this name for different weights: DistiLLM 0.1, DistiLLM-2 0.9, TRL 0.5.
Data: the dataset's responses, as in the loss-only baselines of DistiLLM and ABKD. Wen et al. train
    on student samples and on targets: with probability `student_fraction` a batch is new student
    samples, as in `gkd`.
"""

from typing import ClassVar

from pydantic import Field

from kdbench.divergence import generalised_jsd
from kdbench.methods import Method, methods
from kdbench.training import FromStudent, Match, Triple


@methods.register("jsd")
class JSD(Method):
    """Jensen-Shannon divergence to the teacher on the dataset."""

    title: ClassVar[str] = "JSD"
    paper: ClassVar[str] = "Wen et al. 2023, arXiv 2307.15190"
    cost: ClassVar[str] = "teacher forward"
    family: ClassVar[str] = "logits"
    basis: ClassVar[str] = "paper"
    teacher_weight: float = Field(
        0.5, ge=0, le=1, description="w, teacher's share of the mixture; 0 is KL(p‖q), 1 is KL(q‖p)"
    )
    student_fraction: float = Field(
        0.0, ge=0, le=1, description="share of batches that are student samples"
    )

    def triple(self) -> Triple:
        """The divergence on the dataset or on student samples."""
        divergence = Match(generalised_jsd, {"teacher_weight": self.teacher_weight})
        return Triple(divergence, FromStudent(self.student_fraction))
