"""Strong-to-weak: first the teacher's responses, then the student's own, in one run.

Source: the recipe of the Qwen3 report for its small models, also that of Gemma 3 and DeepSeek in
    part; read in notes alone, which give the two stages and no formula.
Objective: stage 1 is `seqkd`, -log q(y) on y ~ p. Stage 2 is `gkd` on student samples alone,
    w KL(p‖m) + (1-w) KL(q‖m), m = w p + (1-w) q; w = 1, the default, is KL(q‖p). Which divergence
    the report takes is not in the notes, so the default is a choice of kdbench, as is
    `first_share`.
Data: the teacher's responses, sampled once and kept; then new student samples. Each stage has an
    optimiser and a learning-rate schedule of its own.
"""

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from kdbench.divergence import generalised_jsd
from kdbench.methods import Mechanism, Method, methods
from kdbench.training import CrossEntropy, FromStudent, FromTeacher, Match, Stage, Triple


@methods.register("strong_to_weak")
class StrongToWeak(Method):
    """Cross-entropy on the teacher's responses, then a divergence on student samples."""

    title: ClassVar[str] = "Strong-to-weak"
    paper: ClassVar[str] = "Qwen3 technical report 2025, arXiv 2505.09388"
    cost: ClassVar[str] = (
        "teacher generation, once; then teacher forward, student generation in half of the steps"
    )
    family: ClassVar[str] = "on_policy"
    basis: ClassVar[str] = "third-party notes"
    mechanism: ClassVar[Mechanism | None] = Mechanism(
        "rkl@student", "down", "the second stage repairs what goes wrong on own samples"
    )
    first_share: float = Field(
        0.5, gt=0, lt=1, description="share of the steps on the teacher's responses"
    )
    teacher_weight: float = Field(
        1.0, ge=0, le=1, description="w of the second stage; 0 is KL(p‖q), 1 is KL(q‖p)"
    )

    def stages(self) -> Sequence[Stage]:
        """The teacher's responses, then student samples."""
        divergence = Match(generalised_jsd, {"teacher_weight": self.teacher_weight})
        off_policy = Triple(CrossEntropy(), FromTeacher())
        on_policy = Triple(divergence, FromStudent())
        return [
            Stage(off_policy, self.first_share, name="teacher's responses"),
            Stage(on_policy, 1 - self.first_share, name="own samples"),
        ]
