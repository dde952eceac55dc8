"""Tasks found by name or path, and loaded with lm-eval."""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from kdbench.errors import InputError, nearest, reason_of
from kdbench.system.bundled import bundled, load_module
from kdbench.system.names import is_file_name
from kdbench.system.time_limit import time_limit
from kdbench.task.documents import make_documents
from kdbench.task.keys import check_keys, check_names, stop_strings
from kdbench.task.limits import top_keys
from kdbench.task.model import Document, Task, sha256_of
from kdbench.task.prompt_file import is_prompts, load_prompts, prompts_definition, prompts_name
from kdbench.task.prompt_rows import SUFFIXES
from kdbench.task.rows import check_rows

_SECONDS = 300  # of work, for data and functions
_SECONDS_OF_A_DOCUMENT = 10  # a document takes milliseconds


def known_tasks() -> dict[str, Path]:
    """Return names and YAML files of the tasks in kdbench and in installed plug-ins.

    Raises:
        InputError: An entry point does not name a file, or two tasks have one name.
    """
    tasks = {file.stem: file for file in sorted(bundled("tasks").glob("[!_]*/[!_]*.yaml"))}
    for entry in entry_points(group="kdbench.tasks"):
        path = Path(entry.load())
        if not path.is_file():
            raise InputError(f"entry point kdbench.tasks:{entry.name} names no file: {path}")
        if tasks.setdefault(entry.name, path) != path:
            raise InputError(f"two tasks are named '{entry.name}': rename one of them")
    return tasks


def data_folder(given: Path | None) -> Path | None:
    """Return the folder of the data sets: the given one, else KDBENCH_DATA, else None: the hub."""
    default = os.environ.get("KDBENCH_DATA")
    return given or (Path(default) if default else None)


def load_tasks(
    names: Sequence[str], data: Path | None = None, limit: int | None = None
) -> list[Task]:
    """Load tasks by name, by path of a YAML file or of a folder of such files, or from prompts.

    Args:
        names: Names in `known_tasks`, paths of `generate_until` YAML files, or prompts.
        data: Folder of the data sets of the tasks that come with kdbench.
        limit: Number of documents to use of each task; None for all.

    Raises:
        InputError: A task is unknown, a YAML is broken, data are missing or malformed, or two tasks
            have one name.
    """
    if data is not None and not data.is_dir():
        raise InputError(f"data={data}: no such folder")
    files = {name: [] if _is_prompts(name) else _find(name) for name in names}
    tasks: list[Task] = []
    for name in names:
        tasks += [_load(known, path, data, limit) for known, path in files[name]]
        tasks += [] if files[name] else [load_prompts(name, limit)]
    if not tasks:
        raise InputError("tasks= names no task")
    for index, task in enumerate(tasks):
        if task.name in {other.name for other in tasks[:index]}:
            raise InputError(f"tasks=: '{task.name}' is named twice")
    return tasks


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
        if name not in known:
            raise InputError(f"{file}: task '{name}' is not installed; name its file with {key}")


def task_definition(name: str) -> str:
    """Return the SHA-256 of the files that define a task.

    Args:
        name: Name or path of a task, as in `tasks=`.

    Raises:
        InputError: There is no such task or file.
    """
    if _is_prompts(name):
        return prompts_definition(name)
    return sha256_of([_definition(path) for _, path in _find(name)])


def task_name(word: str) -> str:
    """Return the name that a word of `tasks=` gives to a task, as far as the word says it.

    Args:
        word: Name of a task, path of a YAML file, or prompts.

    Raises:
        InputError: The name cannot be that of a file of results.
    """
    return prompts_name(word) if _is_prompts(word) else Path(word).stem


def _is_prompts(word: str) -> bool:
    """Whether a word of `tasks=` names prompts of one's own.

    Raises:
        InputError: They would have the name of an installed task.
    """
    known = known_tasks()
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
    raise InputError(f"unknown task '{name}', and no such file: {nearest(name, known)}")


def _load(name: str | None, path: Path, data: Path | None, limit: int | None) -> Task:
    path = path.resolve()
    is_bundled = path.is_relative_to(bundled("tasks").resolve())
    if name is None and is_bundled:
        name = path.stem
    task = _through_lm_eval(path, {"data": str(data)} if is_bundled and data else {})
    name = name or str(task.config.task)
    if not is_file_name(name) or name == "run":
        raise InputError(f"{path}: '{name}' cannot name a file of results; rename the task")
    if task.OUTPUT_TYPE != "generate_until":
        raise InputError(f"{path}: output_type is {task.OUTPUT_TYPE}; kdbench runs generate_until")
    check_keys(task.config, path)
    rows = list(task.eval_docs)
    documents = tuple(make_documents(task, rows, path, is_bundled))
    metadata = task.config.metadata or {}
    used = documents[:limit]
    return Task(
        name=name,
        version=str(task.VERSION),
        documents=used,
        until=stop_strings(task.config),
        data={
            "rows": len(rows),
            "used": len(used),
            "sha256": sha256_of([[d.id, d.message, d.prompt, d.references] for d in documents]),
            "published": _is_published(rows, metadata) if is_bundled else None,
        },
        lm_eval=task,
        bundled=is_bundled,
        definition_sha256=None if is_bundled else _definition_of(path, documents),
        closed_answers=bool(metadata.get("closed_answers")),
    )


def _through_lm_eval(path: Path, metadata: dict[str, Any]) -> Any:
    from lm_eval.tasks import TaskManager

    check_names(top_keys(path), path)
    check_rows(path)
    with _quiet_lm_eval():
        try:
            with time_limit(_SECONDS, working=True), _limited_documents():
                loaded = TaskManager(include_defaults=False, metadata=metadata).load([str(path)])
        except InputError:
            raise
        except SystemExit as error:
            raise InputError(f"{path}: a function of the task ended the program") from error
        except Exception as error:
            raise InputError(_reason(error, path)) from error
    tasks = list(loaded["tasks"].values())
    if len(tasks) != 1:
        raise InputError(f"{path}: defines {len(tasks)} tasks; pass the YAML of each task")
    return tasks[0]


def _reason(error: Exception, path: Path) -> str:
    text = reason_of(error, longest=1000)
    if isinstance(error, IndexError) and text.endswith("size 0"):  # lm-eval takes the first row
        return f"{path}: the task has no documents: its split is empty, or process_docs drops all"
    if isinstance(error, KeyError) and error.args == (None,):  # lm-eval has no default for it
        return f"{path}: a metric of metric_list that is not lm-eval's needs an aggregation"
    # Messages of kdbench's own loader name the data file already.
    is_own = isinstance(error, ValueError) and path.is_relative_to(bundled("tasks"))
    return text if is_own else f"{path}: {text}"


def _definition(path: Path) -> str:
    files = sorted({path, *path.parent.glob("*.yaml"), *path.parent.glob("*.py")})
    return sha256_of([[file.name, file.read_bytes().hex()] for file in files])


def _definition_of(path: Path, documents: Sequence[Document]) -> str:
    """Return the SHA-256 of what decides a task's scoring, and of its categories if it has any."""
    categories = [document.category for document in documents]
    return sha256_of([_definition(path), categories]) if any(categories) else _definition(path)


def _is_published(rows: Sequence[Mapping[str, Any]], metadata: Mapping[str, Any]) -> bool | None:
    """Return whether the rows are those of the papers; None if these are unknown."""
    known = metadata.get("content_sha256")
    if known is None:
        return None
    return bool(load_module("tasks/instruction.py").content_sha256(rows) == known)


@contextmanager
def _limited_documents() -> Iterator[None]:
    """Limit the time of the prompt and the reference that lm-eval makes while it loads a task."""
    from lm_eval.api.task import ConfigurableTask

    methods = {name: getattr(ConfigurableTask, name) for name in ("doc_to_text", "doc_to_target")}

    def target(task: Any, *arguments: Any) -> Any:
        if task.config.doc_to_target is None and task.OUTPUT_TYPE == "generate_until":
            task.config.doc_to_target = ""  # lm-eval has no other word for "no reference"
        return methods["doc_to_target"](task, *arguments)

    for name, method in {**methods, "doc_to_target": target}.items():
        setattr(ConfigurableTask, name, time_limit(_SECONDS_OF_A_DOCUMENT)(method))
    try:
        yield
    finally:
        for name, method in methods.items():
            setattr(ConfigurableTask, name, method)


@contextmanager
def _quiet_lm_eval() -> Iterator[None]:
    """Suppress lm-eval's hints about its own command line."""
    logger = logging.getLogger("lm_eval")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
