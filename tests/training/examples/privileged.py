"""Self-distillation: the student learns what it would say if it saw the answer."""

from typing import ClassVar

from pydantic import Field

from kdbench.divergence import forward_kl
from kdbench.methods import Method, methods
from kdbench.training import Example, FromStudent, Match, MovingAverage, Prefixed, Term, Triple


def answer(example: Example) -> str:
    """The first reference."""
    return example.references[0]


@methods.register("privileged")
class Privileged(Method):
    """Forward KL to a moving average of the student that is shown the answer."""

    title: ClassVar[str] = "Privileged"
    paper: ClassVar[str] = "an example, after on-policy self-distillation"
    cost: ClassVar[str] = "student forward"
    needs_teacher: ClassVar[bool] = False
    student_fraction: float = Field(0.5, ge=0, le=1, description="share of student samples")
    decay: float = Field(0.99, ge=0, lt=1, description="decay of the average per step")

    def triple(self) -> Triple:
        """No teacher: the view `informed` is the student itself with another prompt."""
        return Triple(
            [Term(Match(forward_kl, view="informed"))],
            FromStudent(self.student_fraction),
            companions=[MovingAverage("informed", self.decay)],
            prompts={"informed": Prefixed(answer, 64, "{}\n\n")},
        )
