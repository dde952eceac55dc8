"""Total variation distance on the dataset.

Paper: Wen et al. 2023 (arXiv 2307.15190).
Objective: half the sum of |p - q|. One minus it is the acceptance rate of speculative decoding, so
    this trains directly for acceptance.
Data: the dataset's responses, as in the loss-only baselines of DistiLLM and ABKD. Wen et al. train
    on student samples and on targets: with probability `student_fraction` a batch is new student
    samples.
"""

from typing import ClassVar

from pydantic import Field

from kdbench.divergence import total_variation
from kdbench.methods import Mechanism, Method, methods
from kdbench.training import FromStudent, Match, Triple


@methods.register("tvd")
class TVD(Method):
    """Total variation distance to the teacher on the dataset."""

    title: ClassVar[str] = "TVD"
    paper: ClassVar[str] = "Wen et al. 2023, arXiv 2307.15190"
    cost: ClassVar[str] = "teacher forward"
    family: ClassVar[str] = "logits"
    basis: ClassVar[str] = "paper"
    mechanism: ClassVar[Mechanism | None] = Mechanism(
        "acceptance@ref", "up", "the loss is 1 - acceptance"
    )
    student_fraction: float = Field(
        0.0, ge=0, le=1, description="share of batches that are student samples"
    )

    def triple(self) -> Triple:
        """The distance on the dataset or on student samples."""
        return Triple(Match(total_variation), FromStudent(self.student_fraction))
