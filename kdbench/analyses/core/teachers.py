"""Several teachers of one student, and where the student starts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from kdbench.analyses.core.bench import AnalysisWorld
from kdbench.errors import InputError

StudentStart = Literal["random", "student"]

_TOY = {
    "batch_size": 32,
    "micro_batch_size": 32,
    "max_new_tokens": 64,
    "validation_limit": 100,
    "validate_every": 10**6,
}


def several_teachers(world: AnalysisWorld, given: Sequence[str], least: int) -> dict[str, str]:
    """The teachers' checkpoints by name: those of the toy world, or given ones.

    Args:
        world: Models and data.
        given: Value of `teachers=`.
        least: How many are needed.

    Raises:
        InputError: There are too few, two have one name, or some are given for the toy world.
    """
    if world.folder is not None and given:
        raise InputError(
            f"teachers={','.join(given)}: the toy world has its own; give student= and data= too"
        )
    if world.folder is None and world.teacher is not None:
        raise InputError(f"teacher={world.teacher}: this analysis has several; give teachers=")
    if world.folder is not None:
        given = [str(path) for path in sorted(world.folder.glob("teacher-*"))]
    named = {Path(path).name.removeprefix("teacher-"): path for path in given}
    if len(given) < least:
        raise InputError(
            f"teachers={','.join(given)}: give {least} or more checkpoints, of several sizes"
        )
    if len(named) < len(given):
        raise InputError("teachers=: two folders have one name; rename one of them")
    return named


def start_keys(start: StudentStart | None, world: AnalysisWorld) -> dict[str, Any]:
    """Keys of trainings: where students start, and what suits that on the toy world.

    Args:
        start: From random weights, another draw per training seed, or from the checkpoint of the
            student; None for random weights on the toy world, and for the checkpoint elsewhere.
        world: Models and data.
    """
    is_toy = world.folder is not None
    chosen = start or ("random" if is_toy else "student")
    student = f"random:{world.student}" if chosen == "random" else world.student
    keys: dict[str, Any] = {"select": "last", "student": student}
    if is_toy:
        rate = {"random": 5e-3, "student": 1e-3}[chosen]
        keys |= _TOY | {"learning_rate": rate, "warmup_steps": 20 if chosen == "random" else 0}
    return keys


def pure_distillation(method: str) -> dict[str, Any]:
    """Keys of a method that learns from the teacher; kd without the cross-entropy of responses."""
    return {"method": method, **({"kd_ratio": 1} if method == "kd" else {})}
