"""A copy of the student that is refreshed now and then."""

from dataclasses import dataclass, field

from kdbench.training.companions.moving_average import MovingAverage


@dataclass
class HardSync(MovingAverage):
    """The student as it was at the last K-th step: an average that keeps nothing.

    Attributes:
        name: The name of its view.
        every: Student steps between copies, K. Step K itself still sees the student before
            training; the copy is taken after it.
        validated: Whether it is validated along with the student.
    """

    decay: float = field(default=0.0, init=False)
    every: int = 100

    def __str__(self) -> str:
        return f"{self.name}(copy every {self.every} steps)"
