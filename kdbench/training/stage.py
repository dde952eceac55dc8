"""Stages: trainings of one run that follow each other, such as generations of students."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from kdbench.errors import InputError
from kdbench.training.source import FromTeacher
from kdbench.training.triple import Triple


@dataclass(frozen=True)
class Stage:
    """A training within a run: it has optimiser, learning-rate schedule and validations of its own.

    Its best student is what the next stage finds; that of the last stage is the checkpoint.

    Attributes:
        triple: What it trains with.
        share: Its share of the run's steps, in proportion to those of the other stages.
        teacher: Who the view `teacher` is: the model of `teacher=`, the best student of the stage
            before, or None for nobody.
        student: Whether the student goes on from the stage before, or starts again as it was
            before the run.
        name: What it is called in progress, log and run card; empty calls it by its number.
    """

    triple: Triple
    share: float = 1.0
    teacher: Literal["given", "last student"] | None = "given"
    student: Literal["keep", "initial"] = "keep"
    name: str = ""

    @property
    def uses_teacher(self) -> bool:
        """Whether it learns from a teacher's model or responses."""
        return self.triple.needs_teacher_model or isinstance(self.triple.source.inner, FromTeacher)

    def describe(self, number: int) -> str:
        """Who learns from whom, as the stage of a number from 1."""
        learner = "the last student" if self.student == "keep" and number > 1 else "the student"
        if not self.uses_teacher:
            return learner
        return f"{learner}, from the {'teacher' if self.teacher == 'given' else 'last student'}"


def names_of(stages: Sequence[Stage]) -> list[str]:
    """What each stage is called."""
    return [stage.name or f"stage {number}" for number, stage in enumerate(stages, start=1)]


def check_stages(stages: Sequence[Stage]) -> None:
    """Check what can be known before anything is loaded.

    Raises:
        InputError: There is no stage, one does not fit its place, or its triple has no meaning.
    """
    if not stages:
        raise InputError("stages() returned no stage; return one at least")
    for stage in stages:
        _check_words(stage)
    names = names_of(stages)
    for number, (name, stage) in enumerate(zip(names, stages, strict=True)):
        if names.count(name) > 1:
            raise InputError(f"two stages are called '{name}'; give each its own name")
        if not 0 < stage.share < float("inf"):
            raise InputError(f"{name}: share={stage.share:g}: must be above 0, and finite")
        if number == 0 and stage.teacher == "last student":
            raise InputError(
                f"{name}: teacher='last student': there is no stage before the first; pass "
                "teacher='given'"
            )
        if stage.teacher is None and stage.uses_teacher:
            raise InputError(f"{name}: teacher=None, and its objective or source needs one")
        stage.triple.check()


def _check_words(stage: object) -> None:
    """Check what can be written wrong in one stage.

    Raises:
        InputError: It is no stage, or one of its words has no meaning.
    """
    if not isinstance(stage, Stage):
        raise InputError(f"stages() returned {type(stage).__name__}; wrap it as Stage(triple)")
    if stage.teacher not in ("given", "last student", None):
        raise InputError(
            f"teacher={stage.teacher!r} of a stage: must be given, last student or None"
        )
    if stage.student not in ("keep", "initial"):
        raise InputError(f"student={stage.student!r} of a stage: must be keep or initial")
    if not stage.name.isprintable():
        raise InputError(f"the name {stage.name!r} of a stage has control characters")


def steps_of(stages: Sequence[Stage], total: int) -> list[int]:
    """The number of steps of each stage.

    Args:
        stages: The stages.
        total: The steps of the whole run.

    Raises:
        InputError: A stage would have no step.
    """
    whole, done, ends = sum(stage.share for stage in stages), 0.0, [0]
    for stage in stages:
        done += stage.share
        ends.append(round(total * done / whole))
    ends[-1] = total
    steps = [after - before for before, after in pairwise(ends)]
    for name, count in zip(names_of(stages), steps, strict=True):
        if count < 1:
            raise InputError(
                f"steps={total}: too few for {len(stages)} stages: '{name}' would have none"
            )
    return steps
