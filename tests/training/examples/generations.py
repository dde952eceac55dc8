"""Born-again networks: each student is the teacher of the next, which starts again.

Paper: Furlanello et al. 2018 (arXiv 1805.04770).
Objective: KL(p‖q) from the teacher, then from the last student, with the cross-entropy on the data.
Data: the dataset's responses.
"""

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from kdbench.divergence import forward_kl
from kdbench.methods import Method, methods
from kdbench.training import CrossEntropy, Match, Stage, Term, Triple


@methods.register("generations")
class Generations(Method):
    """Students that learn from the student before them."""

    title: ClassVar[str] = "Born again"
    paper: ClassVar[str] = "Furlanello et al. 2018, arXiv 1805.04770"
    cost: ClassVar[str] = "teacher forward"
    generations: int = Field(2, ge=1, description="number of students")
    kd_ratio: float = Field(0.5, ge=0, le=1, description="weight of the last student's KL")

    def stages(self) -> Sequence[Stage]:
        """The first student learns from the teacher, each later one from the last."""
        later = [Term(CrossEntropy(), 1 - self.kd_ratio), Term(Match(forward_kl), self.kd_ratio)]
        first = Stage(Triple(Match(forward_kl)), name="generation 1")
        return [
            first,
            *(
                Stage(
                    Triple([term for term in later if term.weight]),
                    teacher="last student",
                    student="initial",
                    name=f"generation {number}",
                )
                for number in range(2, self.generations + 1)
            ),
        ]
