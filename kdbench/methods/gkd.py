"""Generalised knowledge distillation.

Paper: Agarwal et al. 2024 (arXiv 2306.13649).
Objective: generalised JSD, w KL(p‖m) + (1-w) KL(q‖m) with m = w p + (1-w) q; no gradient through
    the sampling. w = 0 and 1 are KL(p‖q) and KL(q‖p), as in TRL; we found no code by the paper's
    authors. The formula vanishes at both ends, so near them the loss is small.
Data: with probability `student_fraction` a batch of new student samples, otherwise the dataset. The
    student learns from the samples just drawn; DistiLLM's GKD baseline draws from its last 1000.
"""

from typing import ClassVar

from pydantic import Field

from kdbench.divergence import generalised_jsd
from kdbench.methods import Mechanism, Method, methods
from kdbench.training import FromStudent, Match, Triple


@methods.register("gkd")
class GKD(Method):
    """Generalised JSD on student and dataset responses."""

    title: ClassVar[str] = "GKD"
    paper: ClassVar[str] = "Agarwal et al. 2024, arXiv 2306.13649"
    cost: ClassVar[str] = "teacher forward, student generation in half of the steps"
    family: ClassVar[str] = "on_policy"
    basis: ClassVar[str] = "paper"
    mechanism: ClassVar[Mechanism | None] = Mechanism(
        "rkl@student", "down", "distance on the student's own samples"
    )
    teacher_weight: float = Field(
        0.5, ge=0, le=1, description="w, teacher's share of the mixture; 0 is KL(p‖q), 1 is KL(q‖p)"
    )
    student_fraction: float = Field(
        0.5, ge=0, le=1, description="share of batches that are student samples"
    )

    def triple(self) -> Triple:
        """The divergence on student samples or the dataset."""
        divergence = Match(generalised_jsd, {"teacher_weight": self.teacher_weight})
        return Triple(divergence, FromStudent(self.student_fraction))
