"""Groups of lm-eval, which average metrics over their tasks."""

from collections.abc import Mapping
from typing import Any

from kdbench.errors import InputError
from kdbench.system.names import is_file_name
from kdbench.task.model import GroupMean, TaskGroup
from kdbench.task.names import plain_name


def groups_of(loaded: Mapping[str, Any]) -> list[TaskGroup]:
    """Return the groups that lm-eval built and that average anything.

    Args:
        loaded: lm-eval's groups by name, subgroups included.

    Raises:
        InputError: A group's name cannot name a file.
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
    tasks = tuple(plain_name(task.task_name) for task in group.get_all_tasks())
    name = plain_name(group.name)
    if not is_file_name(name):
        raise InputError(f"group '{name}' cannot name a file of results; rename the group")
    return TaskGroup(name, group.version, tasks, means)
