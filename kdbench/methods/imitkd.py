"""ImitKD: the teacher corrects the student's own prefixes.

Paper: Lin et al. 2020 (arXiv 2009.07253); on student samples only, as in DistiLLM's baseline.
Objective: KL(p‖q), no gradient through the sampling.
Data: with probability `student_fraction` new student samples, otherwise the dataset.
"""

from typing import ClassVar

from pydantic import Field

from kdbench.divergence import forward_kl
from kdbench.methods import Mechanism, Method, methods
from kdbench.training import FromStudent, Match, Triple


@methods.register("imitkd")
class ImitKD(Method):
    """Forward KL to the teacher on student responses."""

    title: ClassVar[str] = "ImitKD"
    paper: ClassVar[str] = "Lin et al. 2020, arXiv 2009.07253"
    cost: ClassVar[str] = "teacher forward, student generation"
    family: ClassVar[str] = "on_policy"
    basis: ClassVar[str] = "paper"
    mechanism: ClassVar[Mechanism | None] = Mechanism(
        "fkl@student", "down", "distance on the student's own samples"
    )
    student_fraction: float = Field(
        1.0, ge=0, le=1, description="share of batches that are student samples"
    )

    def triple(self) -> Triple:
        """Forward KL on student samples or the dataset."""
        return Triple(Match(forward_kl), FromStudent(self.student_fraction))
