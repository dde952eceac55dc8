"""The values that a key can have: choices, names, runs, files."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

Typed = Mapping[str, object]
"""The keys that the command line has already."""

_CHECKPOINTS = (
    "model",
    "students",
    "teacher",
    "student",
    "reference",
    "undistilled",
    "classmate_model",
)
_LISTS = ("tasks", "metrics", "columns", "run_code", "rows", "settings", "skip", "students")


def values_of(key: str, field: "FieldInfo | None", current: str, typed: Typed) -> list[str]:
    """The values that begin with what has been typed; a list's next item, after those it has.

    Args:
        key: The key.
        field: Its field; None for `config=`.
        current: What has been typed of the value.
        typed: The keys that the command line has already.
    """
    start, _, item = current.rpartition(",") if key in _LISTS else ("", "", current)
    start += "," if start else ""
    taken = set(start.split(","))
    names = [name for name in _names(key, field, typed) if name not in taken]
    found = [start + name for name in names if name.startswith(item)]
    if key in _CHECKPOINTS:
        return found + [start + name for name in paths(item, _is_checkpoint)]
    if key == "config" or _takes_paths(key, field):
        return found + [start + name for name in paths(item)]
    return found


def _names(key: str, field: "FieldInfo | None", typed: Typed) -> Iterable[str]:
    from kdbench.cli.help import choices

    if choice := choices(field.annotation) if field is not None else []:
        return choice
    if key in ("base", "baseline"):
        return [*_baselines(typed), *_runs(typed)]
    if key in _RUN_KEYS:
        return _runs(typed)
    if key == "by" and typed.get("builder") == "select":
        return _rules()
    return _NAMES[key]() if key in _NAMES else []


def _takes_paths(key: str, field: "FieldInfo | None") -> bool:
    named = {"tasks", "task", "recipe", "table", "train_set", "valid_set", "chat_template", "judge"}
    return key in named or key in _RUN_KEYS or (field is not None and _has_path(field.annotation))


def _has_path(annotation: object) -> bool:
    from typing import get_args

    return annotation is Path or Path in get_args(annotation)


def paths(current: str, wanted: Callable[[os.DirEntry[str]], bool] | None = None) -> list[str]:
    """Files and folders that begin with what has been typed; a folder ends in `/`.

    Args:
        current: What has been typed, perhaps with a folder.
        wanted: Which files to offer besides folders; None for all.
    """
    folder, _, start = current.rpartition("/")
    place = Path(f"{folder}/" if current.startswith("/") and not folder else folder).expanduser()
    try:
        entries = sorted(os.scandir(place), key=lambda entry: entry.name)
    except OSError:
        return []
    prefix = current[: len(current) - len(start)]
    return [
        prefix + entry.name + "/" * entry.is_dir()
        for entry in entries
        if entry.name.startswith(start)
        and (start.startswith(".") or not entry.name.startswith("."))
        and (entry.is_dir() or wanted is None or wanted(entry))
    ]


def _is_checkpoint(entry: os.DirEntry[str]) -> bool:
    return entry.name.endswith(".gguf")


def _tasks() -> Sequence[str]:
    from kdbench.task import known_tasks

    return list(known_tasks())


def _metrics() -> Sequence[str]:
    from kdbench.metrics import metrics

    return ["headline", "all", *metrics.names()]


def _columns() -> Sequence[str]:
    return [*_tasks(), "AVG", *_metrics()[2:]]


def _methods() -> Sequence[str]:
    from kdbench.methods import methods

    return methods.names()


def _analyses() -> Sequence[str]:
    from kdbench.analyses import analyses

    return analyses.names()


def _builders() -> Sequence[str]:
    from kdbench.builders import builders

    return builders.names()


def _rules() -> Sequence[str]:
    from kdbench.builders.selection import selection_rules

    return selection_rules.names()


def _backends() -> Sequence[str]:
    from kdbench.generate import backends

    return backends.names()


def _protocols() -> Sequence[str]:
    from kdbench.protocol import PROTOCOLS

    return list(PROTOCOLS)


def _recipes() -> Sequence[str]:
    from kdbench.distillation.recipe import recipes

    return list(recipes())


def _tables() -> Sequence[str]:
    from kdbench.filling.spec_files import tables

    return list(tables())


def _checks() -> Sequence[str]:
    from kdbench.doctor.check import checks

    return checks.names()


def _runs(typed: Typed) -> Sequence[str]:
    """Models in the results, by the ends of their paths too, and the runs of one with several."""
    from kdbench.store.places import run_folders_in

    results = Path(str(typed.get("results", "results")))
    runs = [path.relative_to(results) for path in run_folders_in(results)]
    models = [run.parent.as_posix() for run in runs]
    several = [run.as_posix() for run in runs if models.count(run.parent.as_posix()) > 1]
    distinct = [model for model in dict.fromkeys(models) if model != "."]
    ends = [model.rpartition("/")[2] for model in distinct]
    return [*dict.fromkeys([*distinct, *(end for end in ends if ends.count(end) == 1)]), *several]


def _baselines(typed: Typed) -> Sequence[str]:
    gates = Path(str(typed.get("gates", "baselines/gates")))
    return sorted(file.stem for file in gates.glob("*.json"))


def _shells() -> Sequence[str]:
    from kdbench.cli.completion.scripts import SCRIPTS

    return list(SCRIPTS)


_RUN_KEYS = ("run", "against", "judge_against", "base", "new", "baseline")
_NAMES: Mapping[str, Callable[[], Sequence[str]]] = {
    **dict.fromkeys(("tasks", "task", "run_code", "train_set"), _tasks),
    **dict.fromkeys(("metric", "metrics", "score", "fidelity"), _metrics),
    "columns": _columns,
    "method": _methods,
    "builder": _builders,
    "backend": _backends,
    "protocol": _protocols,
    "recipe": _recipes,
    "table": _tables,
    "skip": _checks,
}
LISTED: Mapping[str, Callable[[], Sequence[str]]] = {
    "tasks": _tasks,
    "metrics": lambda: _metrics()[2:],
    "methods": _methods,
    "builders": _builders,
    "analyse": _analyses,
    "analyses": _analyses,
    "backends": _backends,
    "protocols": _protocols,
    "completion": _shells,
}
"""What follows a verb without keys, by verb."""


def listed(verb: str, current: str) -> list[str]:
    """The names that can follow a list's verb, or `completion`."""
    return [name for name in LISTED[verb]() if name.startswith(current)]
