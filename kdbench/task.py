"""A task is an lm-evaluation-harness task: documents, prompts and references from its YAML.

lm-eval reads the YAML and its functions; kdbench keeps generation, storage and statistics its own,
because lm-eval's seeds, repeats and error bars do not serve sampled evaluation.
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

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    """One prompt and what answers it.

    Attributes:
        id: unique in the task; samples and scores are kept by it.
        prompt: the text that the task's YAML makes.
        message: what a user would say: the prompt without the task's template.
        references: one or more right answers.
        fields: the row of the data set, as the YAML's functions take it.
    """

    id: str
    prompt: str
    message: str
    references: tuple[str, ...]
    fields: Mapping[str, Any] = field(repr=False, compare=False)


@dataclass(frozen=True, eq=False)
class Task:
    """A loaded task.

    Attributes:
        name: of results and columns.
        version: the YAML's `metadata.version`.
        documents: those to answer, after `limit`.
        until: strings that end a response.
        data: `rows`, `used`, `sha256` of the whole set, and `published`: whether the content is
            that of the papers (None where their content is not known).
        lm_eval: the object that lm-eval made of the YAML.
        bundled: whether it is one of kdbench's own, whose version says when it changed.
        definition_sha256: of the YAML and the files beside it, for a task that is not.
        closed_answers: whether a whole response is an answer, right or wrong: the YAML's
            `metadata.closed_answers`.
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
        """Of ids and prompts, in order: whatever a template or a limit changes, changes it."""
        return _sha256([[document.id, document.prompt] for document in self.documents])


def known_tasks() -> dict[str, Path]:
    """Names and YAML files of the bundled tasks and of those in installed packages.

    Raises:
        InputError: an entry point that names no YAML file.
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
    """The folder of the data sets: the given one, else KDBENCH_DATA; None is the hub."""
    named = os.environ.get("KDBENCH_DATA")
    return given or (Path(named) if named else None)


def load_tasks(
    names: Sequence[str], data: Path | None = None, limit: int | None = None
) -> list[Task]:
    """Load tasks by name or by path of a YAML file (or of a folder of them).

    Args:
        names: names of `known_tasks`, or paths of `generate_until` YAML files.
        data: folder of the data sets of the bundled tasks.
        limit: first so many documents of each.

    Raises:
        InputError: unknown task, broken YAML, missing or malformed data, two tasks of one name.
    """
    if data is not None and not data.is_dir():
        raise InputError(f"data={data}: no such folder")
    found = [(name, path) for word in names for name, path in _find(word)]
    tasks = [_load(name, path, data, limit) for name, path in found]
    if not tasks:
        raise InputError("tasks= names no task")
    for index, task in enumerate(tasks):
        if task.name in {other.name for other in tasks[:index]}:
            raise InputError(f"tasks=: '{task.name}' is named twice")
    return tasks


def task_definition(word: str) -> str:
    """SHA-256 of the files that define what a word of `tasks=` names.

    Raises:
        InputError: no such task or file.
    """
    return _sha256([_definition(path) for _, path in _find(word)])


def _find(word: str) -> list[tuple[str | None, Path]]:
    known = known_tasks()
    if word in known:
        return [(word, known[word])]
    path = Path(word)
    if path.is_file():
        return [(None, path)]
    if path.is_dir():
        files = sorted(path.glob("[!_]*.yaml"))
        if not files:
            raise InputError(f"tasks={word}: no *.yaml in this folder")
        return [(None, file) for file in files]
    raise InputError(f"unknown task '{word}', and no such file: {nearest(word, known)}")


def _load(name: str | None, path: Path, data: Path | None, limit: int | None) -> Task:
    path = path.resolve()
    own = path.is_relative_to(bundled("tasks").resolve())
    if name is None and own:
        name = path.stem
    task = _through_lm_eval(path, {"data": str(data)} if own and data else {})
    name = name or str(task.config.task)
    if not _NAME.fullmatch(name) or name == "run":
        raise InputError(f"{path}: '{name}' cannot name a file of results; rename the task")
    if task.OUTPUT_TYPE != "generate_until":
        raise InputError(f"{path}: output_type is {task.OUTPUT_TYPE}; kdbench runs generate_until")
    rows = list(task.eval_docs)
    documents = tuple(_documents(task, rows, path, own))
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
        bundled=own,
        definition_sha256=None if own else _definition(path),
        closed_answers=bool((task.config.metadata or {}).get("closed_answers")),
    )


def _through_lm_eval(path: Path, metadata: dict[str, Any]) -> Any:
    from lm_eval.tasks import TaskManager

    with _quiet_lm_eval():
        try:
            loaded = TaskManager(include_defaults=False, metadata=metadata).load([str(path)])
        except InputError:
            raise
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            # Our own loader's messages name the data file already.
            ours = isinstance(error, ValueError) and path.is_relative_to(bundled("tasks"))
            raise InputError(reason if ours else f"{path}: {reason}") from error
    tasks = list(loaded["tasks"].values())
    if len(tasks) != 1:
        raise InputError(f"{path}: names {len(tasks)} tasks; pass the YAML of each task")
    return tasks[0]


def _definition(path: Path) -> str:
    files = sorted({path, *path.parent.glob("*.yaml"), *path.parent.glob("*.py")})
    return _sha256([[file.name, file.read_bytes().hex()] for file in files])


def _documents(
    task: Any, rows: Sequence[Mapping[str, Any]], path: Path, own: bool
) -> "Iterator[Document]":
    task.set_fewshot_seed(1234)  # lm-eval's default
    seen: set[str] = set()
    for index, row in enumerate(rows):
        document = _document(task, row, index, own)
        if document.id in seen:
            raise InputError(f"{path}: two documents have the id '{document.id}'")
        if not document.references or not all(document.references):
            raise InputError(f"{path}: document '{document.id}' has an empty reference")
        seen.add(document.id)
        yield document


def _document(task: Any, row: Mapping[str, Any], index: int, own: bool) -> Document:
    prompt = task.fewshot_context(row, task.config.num_fewshot or 0)
    target = task.doc_to_target(row)
    if task.config.doc_to_choice is not None:
        target = task.doc_to_choice(row)[target]
    references = target if isinstance(target, list | tuple) else [target]
    # What is template in a third party's prompt, and what is context, only its author knows.
    instruction = row.get("instruction") if own else None
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
    """Hold back lm-eval's hints to its own command line."""
    logger = logging.getLogger("lm_eval")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
