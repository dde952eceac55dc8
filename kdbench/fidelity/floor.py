"""The floor of fidelity: what the student reached before distillation."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from kdbench.metrics import compares_with_teacher
from kdbench.store.results import TaskResult


@dataclass(frozen=True)
class Floor:
    """The undistilled student, compared with the same teacher.

    Attributes:
        name: Name of the model.
        sha256: Hash of its checkpoint.
        results: Its results by task.
    """

    name: str
    sha256: str
    results: Mapping[str, TaskResult]

    @property
    def identity(self) -> dict[str, str]:
        """What identifies the undistilled student in stored results."""
        return {"name": self.name, "sha256": self.sha256}


def with_floor(result: TaskResult, floor: Floor) -> TaskResult:
    """Return the result with the undistilled student's numbers as floors.

    Floors of a different undistilled student are removed.
    """
    assert result.teacher is not None  # noqa: S101 - for the type checker
    same = result.teacher.get("undistilled") == floor.identity
    reached = floor.results[result.task].metrics
    metrics = dict(result.metrics)
    for name, metric in result.metrics.items():
        if compares_with_teacher(name):
            kept = metric.floor if same else None
            metrics[name] = replace(metric, floor=reached[name].value if name in reached else kept)
    return replace(
        result, metrics=metrics, teacher={**result.teacher, "undistilled": floor.identity}
    )


def with_floor_of(result: TaskResult, old: TaskResult) -> TaskResult:
    """Return the result with the floors of an older one, of metrics of the same version."""
    if old.teacher is None or "undistilled" not in old.teacher:
        return result
    metrics = {
        name: replace(metric, floor=old.metrics[name].floor)
        if name in old.metrics and old.metrics[name].version == metric.version
        else metric
        for name, metric in result.metrics.items()
    }
    teacher = {**(result.teacher or {}), "undistilled": old.teacher["undistilled"]}
    return replace(result, metrics=metrics, teacher=teacher)
