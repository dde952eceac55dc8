"""A task is an lm-evaluation-harness task: documents, prompts and references from its YAML.

lm-eval reads the YAML and its functions. Generation, storage and statistics are kdbench's own,
because lm-eval's seeds, repeats and error bars do not fit sampled evaluation.
"""

import hashlib
import json
import logging
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdbench.errors import InputError, nearest
from kdbench.system.bundled import bundled, load_module
from kdbench.system.safe_yaml import check_yaml, yaml_text

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_INCLUDES = 10
_NAME = re.compile(r"[A-Za-z0-9._+-]+")

TITLES = {
    "dolly": "Dolly",
    "self_instruct": "Self-inst",
    "vicuna": "Vicuna",
    "super_natural": "Super-Natural",
    "unnatural": "Unnatural",
}


@dataclass(frozen=True)
class Document:
    """An item of a task: a prompt and its references.

    Attributes:
        id: Id, unique in the task; samples and scores are stored by it.
        prompt: Text of the prompt, as the task's YAML renders it.
        message: What a user would say: the prompt without the task's template.
        references: One or more reference responses.
        fields: Row of the data set, as the YAML's functions take it.
    """

    id: str
    prompt: str
    message: str
    references: tuple[str, ...]
    fields: Mapping[str, Any] = field(repr=False, compare=False)


@dataclass(frozen=True)
class Task:
    """A loaded task.

    Attributes:
        name: Name in results and columns.
        version: `metadata.version` of the YAML.
        documents: Documents to answer, after `limit`.
        until: Strings that end a response.
        data: `rows`, `used` and `sha256` of the whole set, and `published`: whether the content is
            that of the papers; None if their content is unknown.
        lm_eval: Object that lm-eval made of the YAML.
        bundled: Whether the task comes with kdbench, so that its version identifies it.
        definition_sha256: For other tasks, SHA-256 of the YAML and the files in its folder.
        closed_answers: Whether a whole response is an answer, right or wrong:
            `metadata.closed_answers` of the YAML.
    """

    name: str
    version: str
    documents: tuple[Document, ...]
    until: tuple[str, ...]
    data: Mapping[str, Any]
    lm_eval: Any = field(repr=False, compare=False)
    bundled: bool
    definition_sha256: str | None = None
    closed_answers: bool = False

    @property
    def prompts_sha256(self) -> str:
        """SHA-256 of ids and prompts in order; it changes with the template or the limit."""
        return _sha256([[document.id, document.prompt] for document in self.documents])


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
    """Load tasks by name, or by path of a YAML file or of a folder of such files.

    Args:
        names: Names in `known_tasks`, or paths of `generate_until` YAML files.
        data: Folder of the data sets of the tasks that come with kdbench.
        limit: Number of documents to use of each task; None for all.

    Raises:
        InputError: A task is unknown, a YAML is broken, data are missing or malformed, or two tasks
            have one name.
    """
    if data is not None and not data.is_dir():
        raise InputError(f"data={data}: no such folder")
    files = [file for name in names for file in _find(name)]
    tasks = [_load(name, path, data, limit) for name, path in files]
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
            raise InputError(f"{file}: task '{name}' is not installed; name its YAML with {key}")


def task_definition(name: str) -> str:
    """Return the SHA-256 of the files that define a task.

    Args:
        name: Name or path of a task, as in `tasks=`.

    Raises:
        InputError: There is no such task or file.
    """
    return _sha256([_definition(path) for _, path in _find(name)])


def _find(name: str) -> list[tuple[str | None, Path]]:
    known = known_tasks()
    if name in known:
        return [(name, known[name])]
    path = Path(name)
    if path.is_file():
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
    if not _NAME.fullmatch(name) or name == "run":
        raise InputError(f"{path}: '{name}' cannot name a file of results; rename the task")
    if task.OUTPUT_TYPE != "generate_until":
        raise InputError(f"{path}: output_type is {task.OUTPUT_TYPE}; kdbench runs generate_until")
    rows = list(task.eval_docs)
    documents = tuple(_documents(task, rows, path, is_bundled))
    until = task.config.generation_kwargs.get("until") or ()
    content = (task.config.metadata or {}).get("content_sha256")
    used = documents[:limit]
    return Task(
        name=name,
        version=str(task.VERSION),
        documents=used,
        until=(until,) if isinstance(until, str) else tuple(until),
        data={
            "rows": len(rows),
            "used": len(used),
            "sha256": _sha256([[d.id, d.message, d.prompt, d.references] for d in documents]),
            "published": None if content is None else _content(rows) == content,
        },
        lm_eval=task,
        bundled=is_bundled,
        definition_sha256=None if is_bundled else _definition(path),
        closed_answers=bool((task.config.metadata or {}).get("closed_answers")),
    )


def _through_lm_eval(path: Path, metadata: dict[str, Any]) -> Any:
    from lm_eval.tasks import TaskManager

    _check_limits(path)
    with _quiet_lm_eval():
        try:
            loaded = TaskManager(include_defaults=False, metadata=metadata).load([str(path)])
        except InputError:
            raise
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            # Messages of kdbench's own loader name the data file already.
            own_loader = isinstance(error, ValueError) and path.is_relative_to(bundled("tasks"))
            raise InputError(reason if own_loader else f"{path}: {reason}") from error
    tasks = list(loaded["tasks"].values())
    if len(tasks) != 1:
        raise InputError(f"{path}: defines {len(tasks)} tasks; pass the YAML of each task")
    return tasks[0]


_INCLUDE = re.compile(r"^include:[ \t]*['\"]?([^'\"#\s]+)", re.MULTILINE)


def _check_limits(path: Path, depth: int = 0) -> None:
    """Check the limits of a YAML file and of those that it includes, before lm-eval builds them.

    Raises:
        InputError: A file is no YAML, too large, nested too deeply, or an alias bomb.
    """
    try:
        text = yaml_text(path)
        check_yaml(text)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    for name in _INCLUDE.findall(text):
        included = path.parent / name
        if included.is_file() and depth < MAX_INCLUDES:
            _check_limits(included, depth + 1)
        elif depth >= MAX_INCLUDES:
            raise InputError(f"{path}: include: more than {MAX_INCLUDES} files in a row")


def _definition(path: Path) -> str:
    files = sorted({path, *path.parent.glob("*.yaml"), *path.parent.glob("*.py")})
    return _sha256([[file.name, file.read_bytes().hex()] for file in files])


def _documents(
    task: Any, rows: Sequence[Mapping[str, Any]], path: Path, is_bundled: bool
) -> "Iterator[Document]":
    task.set_fewshot_seed(1234)  # lm-eval's default
    seen: set[str] = set()
    for index, row in enumerate(rows):
        document = _document(task, row, index, is_bundled)
        if document.id in seen:
            raise InputError(f"{path}: two documents have the id '{document.id}'")
        if not document.references or not all(document.references):
            raise InputError(f"{path}: document '{document.id}' has an empty reference")
        seen.add(document.id)
        yield document


def _document(task: Any, row: Mapping[str, Any], index: int, is_bundled: bool) -> Document:
    prompt = task.fewshot_context(row, task.config.num_fewshot or 0)
    target = task.doc_to_target(row)
    if task.config.doc_to_choice is not None:
        target = task.doc_to_choice(row)[target]
    references = target if isinstance(target, list | tuple) else [target]
    # Only the author of another task knows which part of its prompt is the template.
    instruction = row.get("instruction") if is_bundled else None
    message = f"{instruction}\n\n{row.get('input') or ''}".strip() if instruction else prompt
    return Document(
        id=str(row.get("id", index)),
        prompt=prompt,
        message=message,
        references=tuple(str(reference) for reference in references),
        fields=row,
    )


def _content(rows: Sequence[Mapping[str, Any]]) -> str:
    return str(load_module("tasks/instruction.py").content_sha256(rows))


def _sha256(value: object) -> str:
    return hashlib.sha256(json.dumps(value, ensure_ascii=False).encode()).hexdigest()


@contextmanager
def _quiet_lm_eval() -> "Iterator[None]":
    """Suppress lm-eval's hints about its own command line."""
    logger = logging.getLogger("lm_eval")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
