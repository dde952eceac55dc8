"""The tasks, groups and tags that come with lm-eval, by name: `lm_eval:arc_easy`."""

import logging
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from kdbench.errors import InputError

PREFIX = "lm_eval:"
"""What precedes the name of a task of lm-eval in `tasks=`."""


def plain_name(name: str) -> str:
    """Return the name in results of a task or group; lm-eval joins those of inline ones by `::`."""
    return name.replace("::", ".")


@cache
def manager() -> Any:
    """lm-eval's manager of its own tasks; it reads 14 000 files, which takes seconds."""
    from lm_eval.tasks import TaskManager

    logger = logging.getLogger("lm_eval")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        return TaskManager()
    finally:
        logger.setLevel(level)


def files_of(name: str) -> dict[str, Path]:
    """Return the YAML file of each task that a name stands for.

    Args:
        name: Name of a task, group or tag of lm-eval.

    Raises:
        InputError: lm-eval has no such name, or defines a task without a file.
    """
    index = manager().task_index
    if name not in index:
        raise InputError(
            f"{PREFIX}{name}: lm-eval has no task, group or tag of this name{_near(name)}"
        )
    return {task: Path(index[task].yaml_path) for task in _leaves(name)}


def unsafe_tasks(name: str) -> list[str]:
    """Return those of the tasks that a name stands for that run code that a model wrote.

    Their functions are not imported, because some run code right then.
    """
    index = manager().task_index
    return [task for task in _leaves(name) if (index[task].cfg or {}).get("unsafe_code")]


def _leaves(name: str) -> list[str]:
    """Names of the tasks of a group or tag in lm-eval's order, each once; of a task its own."""
    return list(dict.fromkeys(_walk(name, frozenset())))


def _walk(name: str, above: frozenset[str]) -> Iterator[str]:
    entry = manager().task_index.get(name)
    if entry is None or name in above:
        return
    members: list[Any] = []
    if entry.kind.name == "TAG":
        members = sorted(entry.tags)
    elif entry.kind.name == "GROUP":
        listed = entry.cfg.get("task") or []
        members = [listed] if isinstance(listed, str) else listed
    else:
        yield name
    yield from _members(members, above | {name})


def _members(members: list[Any], above: frozenset[str]) -> Iterator[str]:
    for member in members:
        if isinstance(member, str):
            yield from _walk(member, above)
        elif isinstance(member, dict) and isinstance(member.get("task"), list):
            yield from _members(member["task"], above)  # a group within the group
        elif isinstance(member, dict):
            yield from _walk(str(member.get("task") or member.get("group")), above)


def _near(name: str) -> str:
    """The end of the message: names like this one; there are too many to list all."""
    import difflib

    close = difflib.get_close_matches(name, manager().all_tasks, n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
