"""Responses of the student in which the teacher replaces the tokens that it ranks low."""

from dataclasses import dataclass
from typing import get_args

from kdbench.errors import InputError
from kdbench.generate.decoding.interleaved import Interleaving, Replacement
from kdbench.training.source import Draw, Source
from kdbench.views.rollout import Rollout


@dataclass
class FromInterleaved(Source):
    """Samples of student and teacher together, token by token; see `Interleaving`.

    Each token has recorded `replaced`, 1 if it is the teacher's. The log has `acceptance`, the
    share of the student's tokens.

    Attributes:
        top_k: K; a token of the student among the teacher's K likeliest is kept.
        replacement: What replaces another one: a sample of the whole `teacher`, or of its `top_k`.
    """

    origins = ("student",)
    uses_teacher = True
    mixes_teacher = True
    top_k: int = 25
    replacement: Replacement = "teacher"

    def __post_init__(self) -> None:
        if self.top_k < 1:
            raise InputError(f"FromInterleaved: top_k={self.top_k}: must be 1 or more")
        if self.replacement not in get_args(Replacement):
            raise InputError(
                f"FromInterleaved: replacement={self.replacement!r}: must be teacher or top_k"
            )

    def rollouts(self, draw: Draw) -> list[Rollout]:
        """One response per example."""
        rule = Interleaving(self.top_k, self.replacement)
        rollouts = draw.interleaved_responses(draw.examples, rule)
        origins = [origin for rollout in rollouts for origin in rollout.recorded["replaced"]]
        if origins:
            draw.note("acceptance", 1 - sum(origins) / len(origins))
        return rollouts

    def __str__(self) -> str:
        rest = "" if self.replacement == "teacher" else f" by these {self.top_k}"
        return f"student, replaced outside the teacher's top {self.top_k}{rest}"
