"""The teacher that `teacher=` names: a checkpoint, or the cache that one has left."""

from collections.abc import Sequence
from pathlib import Path

from kdbench.config import CACHE, EvalSettings
from kdbench.fidelity.teachers.base import Teacher
from kdbench.fidelity.teachers.cached import CachedTeacher
from kdbench.fidelity.teachers.engine import EngineTeacher
from kdbench.fidelity.teachers.live import LiveTeacher
from kdbench.protocol import Protocol, get_protocol
from kdbench.task import Task


def find_teacher(settings: EvalSettings, tasks: Sequence[Task]) -> Teacher:
    """The teacher of `teacher=`.

    Args:
        settings: the student's.
        tasks: those of the settings.

    Raises:
        InputError: no such checkpoint or cache.
    """
    assert settings.teacher is not None  # noqa: S101 - for the type checker
    parts = parts_of(settings)
    if settings.teacher.startswith(CACHE):
        return CachedTeacher(settings, parts, Path(settings.teacher.removeprefix(CACHE)))
    kind = EngineTeacher if settings.teacher_scores == "engine" else LiveTeacher
    return kind(settings, parts, tasks)


def parts_of(settings: EvalSettings) -> list[Protocol]:
    """The student's protocol, under which the teacher's run is one like others; and another seed.

    A single seed's response is drawn with the student's noise, so there must be a second one.
    """
    overrides = settings.protocol_overrides()
    protocol = get_protocol(settings.protocol, overrides)
    if len(protocol.seeds) > 1 or protocol.temperature == 0:
        return [protocol]
    other = {**overrides, "seeds": (protocol.seeds[0] + 1,)}
    return [protocol, get_protocol(settings.protocol, other)]
