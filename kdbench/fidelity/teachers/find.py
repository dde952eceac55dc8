"""The teacher that `teacher=` names: a checkpoint or a cache."""

from collections.abc import Sequence
from pathlib import Path

from kdbench.config import CACHE, EvalSettings, is_on_server
from kdbench.errors import InputError
from kdbench.fidelity.teachers.base import Teacher
from kdbench.fidelity.teachers.cached import CachedTeacher
from kdbench.fidelity.teachers.engine import EngineTeacher
from kdbench.fidelity.teachers.live import LiveTeacher
from kdbench.fidelity.teachers.served import TeacherOnServer
from kdbench.protocol import Protocol, get_protocol
from kdbench.task import Task


def find_teacher(settings: EvalSettings, tasks: Sequence[Task]) -> Teacher:
    """Find the teacher that `teacher=` names.

    Args:
        settings: Settings of the student.
        tasks: The loaded tasks of the settings.

    Raises:
        InputError: There is no such checkpoint or cache, or nothing to cache.
    """
    assert settings.teacher is not None  # noqa: S101 - for the type checker
    if settings.teacher_cache is not None and not any(task.generates for task in tasks):
        raise InputError(
            "teacher_cache= stores the teacher's scores of tokens, and none of tasks= generates "
            "text; leave it out: a teacher's options are stored in its own run"
        )
    protocols = protocols_of(settings)
    if settings.teacher.startswith(CACHE):
        return CachedTeacher(settings, protocols, Path(settings.teacher.removeprefix(CACHE)))
    if is_on_server(settings.teacher):
        return TeacherOnServer(settings, protocols, tasks)
    kind = EngineTeacher if settings.teacher_scores == "engine" else LiveTeacher
    return kind(settings, protocols, tasks)


def check_cache(settings: EvalSettings) -> None:
    """Check that the cache that `teacher=cache:DIR` names exists, before tasks are loaded.

    Raises:
        InputError: The folder is no cache.
    """
    if settings.teacher is not None and settings.teacher.startswith(CACHE):
        find_teacher(settings, ())


def protocols_of(settings: EvalSettings) -> list[Protocol]:
    """Return the protocols of the teacher's runs, one run each.

    The first is the student's protocol, so that the teacher's run is an ordinary one. If that has a
    single sampled seed, the second one has the next seed: a teacher's response at the same seed is
    drawn with the student's noise, so another one is needed.
    """
    overrides = settings.protocol_overrides()
    protocol = get_protocol(settings.protocol, overrides)
    if len(protocol.seeds) > 1 or protocol.temperature == 0:
        return [protocol]
    next_seed = {**overrides, "seeds": (protocol.seeds[0] + 1,)}
    return [protocol, get_protocol(settings.protocol, next_seed)]
