"""Tasks found by name or path, and loaded with lm-eval."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from kdbench.errors import InputError, nearest, nearest_path
from kdbench.system.bundled import bundled, load_module
from kdbench.system.console import note_once
from kdbench.system.names import is_file_name
from kdbench.task.documents import make_asked_documents, make_documents
from kdbench.task.given_rows import is_given
from kdbench.task.keys import check_keys, class_stops, stop_strings
from kdbench.task.model import TITLES, Document, Task, sha256_of, sha256_of_items
from kdbench.task.names import PREFIX, files_of, plain_name
from kdbench.task.prompt_file import is_prompts, load_prompts, prompts_definition, prompts_name
from kdbench.task.prompt_rows import SUFFIXES
from kdbench.task.reading import ReadTask, definition, group_members, read_file, read_name
from kdbench.task.stored_rows import StoredRows


def known_tasks() -> dict[str, Path]:
    """Return names and YAML files of the tasks in kdbench and in installed plug-ins.

    Raises:
        InputError: An entry point does not name a file, or two tasks have one name.
    """
    tasks = {file.stem: file for file in sorted(bundled("tasks").glob("[!_]*/[!_]*.yaml"))}
    for entry in _installed(tuple(sys.path)):
        path = Path(entry.load())
        if not path.is_file():
            raise InputError(f"entry point kdbench.tasks:{entry.name} names no file: {path}")
        if tasks.setdefault(entry.name, path) != path:
            raise InputError(f"two tasks are named '{entry.name}': rename one of them")
    return tasks


@lru_cache(maxsize=1)
def _installed(search: tuple[str, ...]) -> tuple[EntryPoint, ...]:  # noqa: ARG001
    """What packages on the search path name, which takes long to read and is asked for often."""
    return tuple(entry_points(group="kdbench.tasks"))


def data_folder(given: Path | None) -> Path | None:
    """Return the folder of the data sets: the given one, else KDBENCH_DATA, else None: the hub."""
    default = os.environ.get("KDBENCH_DATA")
    return given or (Path(default) if default else None)


def load_tasks(
    names: Sequence[str],
    data: Path | None = None,
    limit: int | None = None,
    run_code: Sequence[str] = (),
) -> list[Task]:
    """Load tasks by name, by path of a YAML file or of a folder of such files, or from prompts.

    Args:
        names: Names in `known_tasks`, paths of lm-eval YAML files, prompts, or `lm_eval:NAME` for a
            task, group or tag that comes with lm-eval.
        data: Folder of the data sets of tasks given by name.
        limit: Number of documents to use of each task; None for all.
        run_code: Names of tasks that may run code that the model wrote.

    Raises:
        InputError: A task is unknown, a YAML is broken, data are missing or malformed, or two tasks
            have one name.
    """
    if data is not None and not data.is_dir():
        raise InputError(f"data={data}: no such folder{nearest_path(data)}")
    if run_code:
        os.environ["HF_ALLOW_CODE_EVAL"] = "1"
        note_once(
            f"note: code that the model writes for {', '.join(run_code)} runs on this machine"
        )
    for given in names:  # an unknown name is reported before another one's data are read
        if not given.startswith(PREFIX) and not _is_prompts(given):
            _find(given)
    tasks: dict[str, Task] = {}
    for given in names:
        for task in _load(given, data, limit, run_code):
            if task.name in tasks:
                raise InputError(f"tasks=: '{task.name}' is named twice")
            tasks[task.name] = task
    if not tasks:
        raise InputError("tasks= names no task")
    for name in run_code:
        if name not in tasks or not getattr(tasks[name].lm_eval, "UNSAFE_CODE", False):
            raise InputError(f"run_code={name}: no task of this name in tasks= runs code")
    return list(tasks.values())


def check_installed(names: Sequence[str], file: str, key: str) -> None:
    """Check that names from a file are those of installed tasks.

    A path from a file could name code that a user has never seen, so only the command line may
    give paths.

    Args:
        names: Names of tasks in the file.
        file: The file, for the message.
        key: Setting that takes the path of a task.

    Raises:
        InputError: A name is not that of an installed task.
    """
    known = known_tasks()
    for name in names:
        if name not in known and not is_given(name):
            raise InputError(
                f"{file}: task '{name}' is not installed; name its file with {key}, or one of "
                f"lm-eval's own with {key.partition('=')[0]}={PREFIX}{name}"
            )


def task_definition(name: str) -> str:
    """Return the SHA-256 of the files that define a task.

    Args:
        name: Name or path of a task, as in `tasks=`.

    Raises:
        InputError: There is no such task or file.
    """
    if _is_prompts(name):
        return prompts_definition(name)
    if name.startswith(PREFIX):
        files = files_of(name.removeprefix(PREFIX))
        return sha256_of([[task, definition(path)] for task, path in files.items()])
    return sha256_of([definition(path) for _, path in _find(name)])


def result_names(given: str) -> list[str]:
    """Return the names that the tasks of one word in `tasks=` have in results.

    Args:
        given: Name of a task or group, path of a YAML file, prompts, or `lm_eval:NAME`.

    Raises:
        InputError: lm-eval has no such name, or the name cannot be that of a file of results.
    """
    if _is_prompts(given):
        return [prompts_name(given)]
    if given.startswith(PREFIX):
        return list(files_of(given.removeprefix(PREFIX)))
    path = known_tasks().get(given, Path(given))
    return group_members(path) or [path.stem]


def _load(given: str, data: Path | None, limit: int | None, run_code: Sequence[str]) -> list[Task]:
    """Load the tasks of one name, file or folder, each once."""
    if _is_prompts(given):
        return [load_prompts(given, limit)]
    if given.startswith(PREFIX):
        read = read_name(given.removeprefix(PREFIX), data_folder(data), run_code)
        return [_task(plain_name(str(r.lm_eval.config.task)), r, limit, run_code) for r in read]
    tasks: dict[str, Task] = {}
    for name, file in _find(given):
        path = file.resolve()
        is_paper = _is_of_papers(path)
        read = read_file(path, {"data": str(data)} if is_paper and data else {})
        for one in read:
            known = path.stem if is_paper else name
            own = plain_name(str(one.lm_eval.config.task))
            task = _task(own if one.groups or len(read) > 1 else known or own, one, limit, run_code)
            if task.name not in tasks:
                tasks[task.name] = task
            elif Path(given).is_dir() and tasks[task.name].documents == task.documents:
                groups = tasks[task.name].groups + task.groups  # the folder has its group, too
                tasks[task.name] = replace(task, groups=tuple(dict.fromkeys(groups)))
            else:
                raise InputError(f"tasks=: '{task.name}' is named twice")
    return list(tasks.values())


def _is_prompts(word: str) -> bool:
    """Whether a word of `tasks=` names prompts of one's own.

    Raises:
        InputError: They would have the name of an installed task.
    """
    known = known_tasks()
    if word in known and is_given(word):
        raise InputError(f"task {word}: the name of an installed task; choose another one")
    if word in known or not is_prompts(word):
        return False
    if (name := prompts_name(word)) in known:
        raise InputError(f"tasks={word}: '{name}' names an installed task; rename the file")
    return True


def _find(name: str) -> list[tuple[str | None, Path]]:
    known = known_tasks()
    if name in known:
        return [(name, known[name])]
    path = Path(name)
    if path.is_file():
        if path.suffix.lower() not in ("", ".yaml", ".yml"):
            raise InputError(
                f"tasks={name}: neither an lm-eval YAML file nor prompts, which are in "
                f"{', '.join(SUFFIXES)} files"
            )
        return [(None, path)]
    if path.is_dir():
        files = sorted(path.glob("[!_]*.yaml"))
        if not files:
            raise InputError(f"tasks={name}: this folder has no *.yaml")
        return [(None, file) for file in files]
    hint = nearest(name, known)
    near = nearest_path(path) if path.suffix or "/" in name else ""
    prefix = near or ("" if hint.endswith("?") else "; lm-eval's own tasks are lm_eval:NAME")
    raise InputError(f"unknown task '{name}', and no such file: {hint}{prefix}")


def _is_of_papers(path: Path) -> bool:
    """Whether a file is that of one of the papers' tasks, whose fields and metrics are known."""
    return path.is_relative_to(bundled("tasks").resolve()) and path.stem in TITLES


def _task(name: str, read: ReadTask, limit: int | None, run_code: Sequence[str]) -> Task:
    """Return a task with its documents.

    Args:
        name: Its name in results.
        read: What lm-eval made of it.
        limit: Number of documents to use; None for all.
        run_code: Names of tasks that may run code that the model wrote.

    Raises:
        InputError: The name, a key or a row is not usable.
    """
    task, place = read.lm_eval, read.place
    if not is_file_name(name) or name == "run":
        raise InputError(f"{place}: '{name}' cannot name a file of results; rename the task")
    check_keys(task, place, run_code)
    is_bundled = _is_of_papers(place)
    by_name = str(place).startswith(PREFIX)
    is_class = type(task).__name__ != "ConfigurableTask"
    # The papers' rows have no functions that need dictionaries, so they stay in their data set.
    rows = StoredRows(task.eval_docs) if is_bundled else list(task.eval_docs)
    if task.OUTPUT_TYPE == "generate_until":
        documents = tuple(make_documents(task, rows, place, is_bundled, by_name))
        until = class_stops(task, rows[0], place) if is_class else stop_strings(task.config)
    else:
        documents, until = tuple(make_asked_documents(task, rows, place)), ()
    metadata = task.config.metadata or {}
    used = documents[:limit]
    return Task(
        name=name,
        version=str(task.VERSION),
        documents=used,
        until=until,
        data={
            "rows": len(rows),
            "used": len(used),
            "sha256": sha256_of_items(map(_content, documents)),
            "published": _is_published(rows, metadata) if is_bundled else None,
        },
        lm_eval=task,
        bundled=is_bundled,
        definition_sha256=None if is_bundled else _definition(read, documents),
        closed_answers=bool(metadata.get("closed_answers")),
        output_type=task.OUTPUT_TYPE,
        groups=read.groups,
        own_metrics=not is_bundled and (is_class or task.config.metric_list is not None),
    )


def _content(document: Document) -> list[Any]:
    content = [document.id, document.message, document.prompt, document.references]
    return [*content, document.requests] if document.requests else content


def _definition(read: ReadTask, documents: Sequence[Document]) -> str:
    """Return the SHA-256 of what decides a task's scoring, and of its categories if it has any."""
    categories = [document.category for document in documents]
    own = read.definition_sha256
    return sha256_of([own, categories]) if any(categories) else own


def _is_published(rows: Sequence[Mapping[str, Any]], metadata: Mapping[str, Any]) -> bool | None:
    """Return whether the rows are those of the papers; None if these are unknown."""
    known = metadata.get("content_sha256")
    if known is None:
        return None
    return bool(load_module("tasks/instruction.py").content_sha256(rows) == known)
