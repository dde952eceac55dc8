"""Groups of lm-eval, which average metrics over their tasks."""

from collections.abc import Mapping
from typing import Any

from kdbench.task.model import GroupMean, TaskGroup


def groups_of(loaded: Mapping[str, Any]) -> list[TaskGroup]:
    """Return the groups that lm-eval built and that average anything.

    Args:
        loaded: lm-eval's groups by name, subgroups included.
    """
    return [_group(group) for group in loaded.values() if group.has_aggregation]


def _group(group: Any) -> TaskGroup:
    means = tuple(
        GroupMean(
            mean.metric,
            None if mean.filter_list is None else tuple(mean.filter_list),
            bool(mean.weight_by_size),
        )
        for mean in group.aggregate_metric_list
    )
    tasks = tuple(task.task_name for task in group.get_all_tasks())
    return TaskGroup(group.name, group.version, tasks, means)
