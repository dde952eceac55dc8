"""lm-eval builds its tasks: from a YAML of a user's, or by the name of one of its own."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdbench.errors import InputError, reason_of
from kdbench.system.bundled import bundled
from kdbench.system.time_limit import time_limit
from kdbench.task.groups import groups_of
from kdbench.task.keys import check_names
from kdbench.task.limits import included_files, top_keys
from kdbench.task.local_data import local_data
from kdbench.task.model import TaskGroup, sha256_of
from kdbench.task.names import PREFIX, files_of, manager, plain_name, unsafe_tasks
from kdbench.task.rows import check_rows, plain_keys

_SECONDS = 300  # of work, for data and functions
_SECONDS_OF_A_DOCUMENT = 10  # a document takes milliseconds


@dataclass(frozen=True)
class ReadTask:
    """A task that lm-eval built.

    Attributes:
        lm_eval: lm-eval's object.
        place: The file or name that it was read from, for messages.
        definition_sha256: SHA-256 of the files that define it.
        groups: Groups that it was read with.
    """

    lm_eval: Any
    place: Path
    definition_sha256: str
    groups: tuple[TaskGroup, ...] = ()


def read_file(path: Path, metadata: Mapping[str, Any]) -> list[ReadTask]:
    """Read a YAML file: a task, or a group with the tasks in its folder.

    Args:
        path: The file.
        metadata: What lm-eval passes to the task's functions.

    Raises:
        InputError: The file is broken, or names what kdbench does not follow.
    """
    from lm_eval.tasks import TaskManager

    keys = top_keys(path)
    check_names(keys, path)
    check_rows(path)
    if "group" in keys:
        return _read_group(path)
    with _building(path):
        reader = TaskManager(include_defaults=False, metadata=dict(metadata))
        tasks = list(reader.load([str(path)])["tasks"].values())
    if len(tasks) != 1:
        raise InputError(f"{path}: defines {len(tasks)} tasks; pass the YAML of each task")
    return [ReadTask(tasks[0], path, definition(path))]


def _read_group(path: Path) -> list[ReadTask]:
    """Read a group whose tasks are in its folder.

    Raises:
        InputError: One of them is not, or is broken.
    """
    from lm_eval.tasks import TaskManager

    with _building(path):
        reader = TaskManager(include_path=str(path.parent), include_defaults=False)
        index = reader.task_index
        name = next((n for n in reader.all_groups if index[n].yaml_path == path), None)
        if name is None:
            raise InputError(f"{path}: another YAML of {path.parent} has the group's name")
        for member in index[name].cfg["task"]:
            if isinstance(member, str) and member not in index:
                raise InputError(
                    f"{path}: task '{member}' of the group is in no YAML of {path.parent}"
                )
        for file in {e.yaml_path for e in index.values() if e.yaml_path and e.kind.name == "TASK"}:
            check_names(top_keys(file), file)
            check_rows(file)
        loaded = reader.load([name])
    groups = groups_of(loaded["groups"])
    read = []
    for task in loaded["tasks"].values():
        entry = index.get(task.config.task)
        file = entry.yaml_path if entry and entry.yaml_path else path
        read.append(ReadTask(task, file, definition(file), _with(task, groups)))
    return read


def group_members(path: Path) -> list[str]:
    """Return the names of the tasks that a group's YAML lists; none for another file."""
    if not path.is_file() or "group" not in (keys := plain_keys(path)):
        return []
    members = keys.get("task")
    return [member for member in members or () if isinstance(member, str)]


def read_name(name: str, data: Path | None, run_code: Sequence[str]) -> list[ReadTask]:
    """Read a task, group or tag that comes with lm-eval.

    Args:
        name: Its name in lm-eval.
        data: Value of `data=`: a folder that has its data set; None for the hub.
        run_code: Names of tasks that may run code that the model wrote.

    Raises:
        InputError: lm-eval has no such name, the data are not there, or the task runs code and may
            not.
    """
    place = Path(PREFIX + name)
    files = files_of(name)
    for task in unsafe_tasks(name):
        if task not in run_code:
            raise InputError(
                f"{PREFIX}{task}: runs code that the model wrote, on this machine; "
                f"run_code={task} permits it (sets HF_ALLOW_CODE_EVAL=1)"
            )
    with _building(place), _data_of(data, name):
        loaded = manager().load([name])
    groups = groups_of(loaded["groups"])
    read = []
    for task in loaded["tasks"].values():
        file = files.get(task.config.task, next(iter(files.values())))
        read.append(
            ReadTask(task, place, definition(file, included_files(file)), _with(task, groups))
        )
    return read


def definition(path: Path, others: Iterable[Path] = ()) -> str:
    """Return the SHA-256 of the files that define a task.

    Args:
        path: The YAML; those and the Python files in its folder count too.
        others: Files of other folders and with other endings.
    """
    files = sorted({path, *path.parent.glob("*.yaml"), *path.parent.glob("*.py"), *others})
    return sha256_of([[file.name, file.read_bytes().hex()] for file in files])


def _with(task: Any, groups: Sequence[TaskGroup]) -> tuple[TaskGroup, ...]:
    return tuple(group for group in groups if plain_name(task.config.task) in group.tasks)


@contextmanager
def _building(place: Path) -> Iterator[None]:
    """Limit what lm-eval does, and turn its errors into one line."""
    with _quiet_lm_eval():
        try:
            with time_limit(_SECONDS, working=True), _limited_documents():
                yield
        except InputError:
            raise
        except SystemExit as error:
            raise InputError(f"{place}: a function of the task ended the program") from error
        except Exception as error:
            raise InputError(_reason(error, place)) from error


# What lm-eval's first look at the first row raises: kind, end of its text, and what it means.
_FAULTS = (
    (
        IndexError,
        "size 0",
        "the task has no documents: its split is empty, or process_docs drops all",
    ),
    (IndexError, "list index out of range", "doc_to_target names no option of doc_to_choice"),
    (IndexError, "string index out of range", "an option of doc_to_choice is empty"),
    (TypeError, "object is not subscriptable", "the options of doc_to_choice must be texts"),
    (KeyError, "None", "a metric of metric_list that is not lm-eval's needs an aggregation"),
)


def _reason(error: Exception, place: Path) -> str:
    text = reason_of(error, longest=1000)
    for kind, end, meaning in _FAULTS:
        if isinstance(error, kind) and text.endswith(end):
            return f"{place}: {meaning}"
    if isinstance(error, KeyError):
        return f"{place}: there is no {text}"
    # Messages of kdbench's own loader name the data file already.
    is_own = isinstance(error, ValueError) and place.is_relative_to(bundled("tasks"))
    return text if is_own else f"{place}: {text}"


@contextmanager
def _data_of(data: Path | None, asked: str) -> Iterator[None]:
    """Have lm-eval take data sets from a folder, and name the task whose data it cannot get.

    Args:
        data: The folder; None for the hub.
        asked: Name of a task that does not know its own yet, as Python classes do not.
    """

    def download(task: Any, dataset_kwargs: dict[str, Any] | None = None, **options: Any) -> None:
        config = task.config
        name = str(config.task or asked)
        found = None if data is None else local_data(data, task, name)
        if found is not None:
            task.dataset = found
            return
        try:
            original(task, dataset_kwargs, **options)
        except Exception as error:
            what = task.DATASET_PATH or "its data"
            raise InputError(
                f"{PREFIX}{name}: '{what}' cannot be loaded: {reason_of(error, 200)}; without a "
                f"network, give data=DIR with DIR/{name}/{config.test_split or 'validation'}.jsonl"
            ) from error

    from lm_eval.api.task import ConfigurableTask

    original = ConfigurableTask.download
    with _replaced(ConfigurableTask, {"download": download}):
        yield


@contextmanager
def _limited_documents() -> Iterator[None]:
    """Limit the time of the prompt and the reference that lm-eval makes while it loads a task."""
    from lm_eval.api.task import ConfigurableTask

    limit, read_target = time_limit(_SECONDS_OF_A_DOCUMENT), ConfigurableTask.doc_to_target

    def doc_to_target(task: Any, *arguments: Any) -> Any:
        if task.config.doc_to_target is None and task.OUTPUT_TYPE == "generate_until":
            task.config.doc_to_target = ""  # lm-eval has no other word for "no reference"
        return read_target(task, *arguments)

    methods = {"doc_to_text": ConfigurableTask.doc_to_text, "doc_to_target": doc_to_target}
    with _replaced(ConfigurableTask, {name: limit(method) for name, method in methods.items()}):
        yield


@contextmanager
def _replaced(kind: type, methods: Mapping[str, Callable[..., Any]]) -> Iterator[None]:
    """Replace methods of a class for a while."""
    before = {name: getattr(kind, name) for name in methods}
    for name, method in methods.items():
        setattr(kind, name, method)
    try:
        yield
    finally:
        for name, method in before.items():
            setattr(kind, name, method)


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
