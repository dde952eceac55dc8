"""The teacher's responses, sampled anew in every step."""

from dataclasses import dataclass

from kdbench.training.source import Draw, Source
from kdbench.views.rollout import Rollout


@dataclass
class FreshFromTeacher(Source):
    """New samples of the teacher in each step, so that no response is learned twice."""

    uses_teacher = True
    views = ("teacher",)
    origins = ("teacher",)

    def rollouts(self, draw: Draw) -> list[Rollout]:
        """One response per example."""
        return draw.responses(draw.examples, view="teacher")

    def __str__(self) -> str:
        return "teacher, anew"
