"""The means of lm-eval's groups over the results of their tasks."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from kdbench.store.results import MetricResult, TaskResult
from kdbench.task import GroupMean, Task, TaskGroup
from kdbench.task.model import sha256_of


def groups_of_tasks(tasks: Iterable[Task]) -> list[TaskGroup]:
    """Return the groups that tasks were loaded with, each once, subgroups first."""
    found = dict.fromkeys(group for task in tasks for group in task.groups)
    return sorted(found, key=lambda group: len(group.tasks))


def group_result(group: TaskGroup, results: Mapping[str, TaskResult]) -> TaskResult | None:
    """Return the result of a group; None while a task of it has none.

    Args:
        group: The group.
        results: Results by task.
    """
    if not set(group.tasks) <= set(results):
        return None
    members = [results[task] for task in group.tasks]
    metrics: dict[str, MetricResult] = {}
    for mean in group.means:
        for name in _names(mean, members):
            having = [member for member in members if name in member.metrics]
            metrics[name] = _mean([m.metrics[name] for m in having], _weights(mean, having))
    if not metrics:
        return None
    return TaskResult(
        fingerprint={
            "task": group.name,
            "task_version": group.version,
            "members": {m.task: sha256_of(dict(sorted(m.fingerprint.items()))) for m in members},
            "protocol": members[0].fingerprint["protocol"],
        },
        metrics=metrics,
        documents={"id": []},
        data={key: sum(int(member.data[key]) for member in members) for key in ("rows", "used")},
        cut_prompts=None,
        main_metric=next(iter(metrics)),
    )


def _names(mean: GroupMean, members: Sequence[TaskResult]) -> list[str]:
    """The results that a mean is of: `metric,filter`."""
    if mean.filters is not None:
        named = [f"{mean.metric},{filter_name}" for filter_name in mean.filters]
        return [name for name in named if any(name in member.metrics for member in members)]
    start = f"{mean.metric},"
    return sorted({n for member in members for n in member.metrics if n.startswith(start)})


def _weights(mean: GroupMean, members: Sequence[TaskResult]) -> np.ndarray:
    sizes = [float(member.data["used"]) if mean.by_size else 1.0 for member in members]
    return np.array(sizes) / sum(sizes)


def _mean(metrics: Sequence[MetricResult], weights: np.ndarray) -> MetricResult:
    """Return the weighted mean; as the tasks' documents differ, half-widths add in quadrature.

    Source: lm-eval's `aggregate_subtask_metrics`.
    """
    value = low = high = None
    if all(metric.value is not None for metric in metrics):
        value = float(weights @ [_number(metric.value) for metric in metrics])
        if all(metric.ci_low is not None for metric in metrics):
            below = [_number(m.value) - _number(m.ci_low) for m in metrics]
            above = [_number(m.ci_high) - _number(m.value) for m in metrics]
            low = value - float(np.linalg.norm(weights * below))
            high = value + float(np.linalg.norm(weights * above))
    return MetricResult(
        value=value,
        ci_low=low,
        ci_high=high,
        seed_sd=None,
        per_seed={},
        n=sum(metric.n for metric in metrics),
        unit=metrics[0].unit,
        direction=metrics[0].direction,
        version=metrics[0].version,
        reason=None if value is not None else "a task of the group has no number",
    )


def _number(value: float | None) -> float:
    assert value is not None  # noqa: S101 - for the type checker
    return float(value)
