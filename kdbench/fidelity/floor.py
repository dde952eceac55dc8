"""The floor of fidelity: what the student reached before distillation."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from kdbench.metrics import compares_with_teacher
from kdbench.store.results import TaskResult


@dataclass(frozen=True)
class Floor:
    """The undistilled student, beside the same teacher.

    Attributes:
        name: of the model.
        sha256: of its checkpoint.
        results: by task.
    """

    name: str
    sha256: str
    results: Mapping[str, TaskResult]

    @property
    def identity(self) -> dict[str, str]:
        """What makes a stored floor another's."""
        return {"name": self.name, "sha256": self.sha256}


def with_floor(result: TaskResult, floor: Floor) -> TaskResult:
    """The result with what the undistilled student reaches; another one's floors go."""
    assert result.teacher is not None  # noqa: S101 - for the type checker
    same = result.teacher.get("undistilled") == floor.identity
    reached = floor.results[result.task].metrics
    metrics = {
        name: replace(
            one, floor=reached[name].value if name in reached else one.floor if same else None
        )
        if compares_with_teacher(name)
        else one
        for name, one in result.metrics.items()
    }
    return replace(
        result, metrics=metrics, teacher={**result.teacher, "undistilled": floor.identity}
    )


def with_floor_of(result: TaskResult, old: TaskResult) -> TaskResult:
    """The result with the floors that an older one has, of metrics of the same version."""
    if old.teacher is None or "undistilled" not in old.teacher:
        return result
    metrics = {
        name: replace(one, floor=old.metrics[name].floor)
        if name in old.metrics and old.metrics[name].version == one.version
        else one
        for name, one in result.metrics.items()
    }
    teacher = {**(result.teacher or {}), "undistilled": old.teacher["undistilled"]}
    return replace(result, metrics=metrics, teacher=teacher)
