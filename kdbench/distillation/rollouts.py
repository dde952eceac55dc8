"""The engine of `rollout_backend=`: what can be checked at once, and the trainer's plan for it."""

from collections.abc import Mapping, Sequence
from typing import Any

from kdbench.config import TrainSettings
from kdbench.distillation.processes import process_count
from kdbench.distillation.students import StudentSource
from kdbench.errors import InputError, nearest
from kdbench.training.rollouts import RolloutPlan, engines
from kdbench.training.stage import Stage

OWN = "hf"


def check_rollouts(
    settings: TrainSettings, stages: Sequence[Stage], finished: bool = False
) -> None:
    """Check the engine's keys against the method, and that the engine is there.

    Args:
        settings: The settings of the run.
        stages: The stages of the method.
        finished: Whether the run is finished, so that no engine is needed.

    Raises:
        InputError: The method has no use for the engine or cannot use it, it is not installed, does
            not answer, or does not take an option.
    """
    name = settings.rollout_backend
    if name == OWN:
        return
    if name not in (known := engines.names()):
        raise InputError(f"rollout_backend={name}: {nearest(name, [OWN, *known])}")
    _check_method(settings, stages)
    if process_count() > 1:
        raise InputError(
            f"rollout_backend={name}: this run has {process_count()} processes, and an engine "
            "serves one: use rollout_backend=hf, or start a single process"
        )
    if settings.student_quantization is not None:
        raise InputError(
            f"rollout_backend={name}: weights of student_quantization= cannot be pushed; leave one "
            "of the two out"
        )
    if finished:
        return
    if settings.rollout_server is None:
        engines.get(name).check(settings.rollout_backend_options)
    else:
        from kdbench.training.rollouts.served import check_server

        check_server(settings.rollout_server)


def _check_method(settings: TrainSettings, stages: Sequence[Stage]) -> None:
    sources = [stage.triple.source for stage in stages]
    method, name = f"method={settings.method}", f"rollout_backend={settings.rollout_backend}"
    if not any(source.gives_samples for source in sources):
        raise InputError(
            f"{name}: {method} samples nothing of the student during training; leave it out"
        )
    if any(source.mixes_teacher for source in sources):
        raise InputError(
            f"{name}: in {method} the teacher takes part in the sampling, and the engine has only "
            "the student: use rollout_backend=hf"
        )
    if settings.rollout_lag and not all(source.plans_ahead for source in sources):
        raise InputError(
            f"rollout_lag={settings.rollout_lag}: {method} decides in each step, by what came "
            "before, which responses it needs, so none can be generated ahead: leave it out"
        )


def check_student_of_engine(settings: TrainSettings, student: StudentSource, device: str) -> None:
    """Check by the student's configuration that the engine can run it, before weights are loaded.

    Args:
        settings: The settings of the run.
        student: The student.
        device: The trainer's device, which an engine beside it uses too.

    Raises:
        InputError: It cannot.
    """
    if settings.rollout_backend != OWN and settings.rollout_server is None:
        engine = engines.get(settings.rollout_backend)
        engine.check_student(student.config(settings.trust_remote_code), device)


def rollout_plan(settings: TrainSettings, precision: str) -> RolloutPlan | None:
    """What the trainer is told about the engine; None without one.

    Args:
        settings: The settings of the run.
        precision: `float32` or `bfloat16`.
    """
    if settings.rollout_backend == OWN:
        return None
    return RolloutPlan(
        settings.rollout_backend,
        precision,
        settings.rollout_backend_options,
        settings.rollout_server,
        settings.rollout_lag,
        settings.rollout_weight_clip,
        settings.trust_remote_code,
    )


def rollout_identity(settings: TrainSettings) -> Mapping[str, Any]:
    """The keys that change a result, as the identity of a run has them; none without an engine."""
    if settings.rollout_backend == OWN:
        return {}
    silent = engines.get(settings.rollout_backend).silent_options
    options = settings.rollout_backend_options
    return {
        "rollout_backend": settings.rollout_backend,
        "rollout_backend_options": {
            name: value for name, value in options.items() if name not in silent
        },
        "rollout_lag": settings.rollout_lag,
        "rollout_weight_clip": settings.rollout_weight_clip,
    }
