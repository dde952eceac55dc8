"""Reading `<task>.json`: all of it at once, or each metric and column when it is asked for."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from kdbench.errors import InputError
from kdbench.store.column import packed
from kdbench.store.result_schema import (
    CATEGORY,
    check_document_column,
    check_documents,
    check_ids,
    check_metric,
    check_task,
)
from kdbench.store.schema import FieldError
from kdbench.store.task_file import LARGE, ChangedError, Skimmed, skim
from kdbench.store.task_result import MetricResult, TaskResult, with_error
from kdbench.system.files import check_schema, read_json

__all__ = [
    "CATEGORY",
    "MetricResult",
    "TaskResult",
    "open_task",
    "read_task",
    "task_from",
    "with_error",
]

_T = TypeVar("_T")
_LONG = 256  # documents
_MOST_GOOD = 256  # parts of files that are remembered


def read_task(path: Path) -> TaskResult:
    """Read a task's result, and check all of it.

    Raises:
        InputError: The file is not a result, or has a different schema.
    """
    try:
        skimmed = skim(path) if path.stat().st_size > LARGE else None
        if skimmed is None:
            return _read_whole(path)
        ids = _check_rest(skimmed, path)
        documents: dict[str, Sequence[Any]] = {}
        for name, column in skimmed.columns():
            if name != "id":
                check_document_column(name, column, len(ids))
            documents[name] = ids if name == "id" else _compact(column)
        metrics = {
            name: _metric(name, metric, documents.get(name))
            for name, metric in skimmed.all_metrics()
        }
        return TaskResult(metrics=metrics, documents=documents, **skimmed.rest)
    except (FieldError, TypeError) as error:
        raise InputError(f"{path}: not a result of kdbench: {error}") from None
    except (ValueError, RecursionError, ChangedError):
        return _read_whole(path)  # which names the place of a fault


def open_task(path: Path) -> TaskResult:
    """Read a task's result, but its metrics and columns only when they are asked for.

    A fault in one of those is then an InputError, as is a file that was replaced since.

    Raises:
        InputError: The file is not a result, or has a different schema.
    """
    try:
        skimmed = skim(path)
        if skimmed is None:
            return _read_whole(path)
        _check_rest(skimmed, path)
        documents = StoredColumns(skimmed)
        return TaskResult(
            metrics=StoredMetrics(skimmed, documents), documents=documents, **skimmed.rest
        )
    except (FieldError, TypeError) as error:
        raise InputError(f"{path}: not a result of kdbench: {error}") from None
    except (ValueError, RecursionError):
        return _read_whole(path)


def _check_rest(skimmed: Skimmed, path: Path) -> list[str]:
    """Check all but the metrics and columns; return the ids of the documents."""
    content = {"metrics": skimmed.metrics.names, "documents": skimmed.documents.names}
    check_schema(path, skimmed.rest)
    known = skimmed.rest.get("fingerprint"), skimmed.metrics.names
    if not _are_good(*known) or skimmed.rest["fingerprint"]["task"] != path.stem:
        check_task({**skimmed.rest, **content}, path.stem)
        if skimmed.shares_rest:
            _remember(*known)
    if "id" not in skimmed.documents.names:
        raise FieldError("'documents.id' is missing")
    ids: list[str] = skimmed.column("id")
    if not _are_good(ids):
        check_ids(ids)
        if skimmed.ids is not None:
            _remember(ids)
    return ids


_good: dict[tuple[int, ...], tuple[object, ...]] = {}


def _are_good(*parts: object) -> bool:
    """Whether these objects, which files with equal parts share, were checked together before."""
    return tuple(map(id, parts)) in _good


def _remember(*parts: object) -> None:
    """Remember objects that were checked together; they stay, and with them their ids."""
    if len(_good) >= _MOST_GOOD:
        _good.clear()
    _good[tuple(map(id, parts))] = parts


def _read_whole(path: Path) -> TaskResult:
    return task_from(read_json(path), path)


def task_from(found: Mapping[str, Any], path: Path) -> TaskResult:
    """A task's result from what its file holds, all of it checked.

    Args:
        found: Content of the file.
        path: The file, for messages and the task's name.

    Raises:
        InputError: It is not a result.
    """
    content = dict(found)
    try:
        check_task(content, path.stem)
        columns, metrics = content.pop("documents"), content.pop("metrics")
        check_documents(columns)
        metrics = {name: _metric(name, metrics[name], columns.get(name)) for name in metrics}
        documents = {name: _compact(column) for name, column in columns.items()}
        return TaskResult(metrics=metrics, documents=documents, **content)
    except (FieldError, TypeError) as error:
        raise InputError(f"{path}: not a result of kdbench: {error}") from None


def _compact(column: Sequence[Any]) -> Sequence[Any]:
    """A long column in an array; short ones take little memory, and packing them takes time."""
    return packed(column) if len(column) >= _LONG else column


def _metric(name: str, content: Any, column: Sequence[float | None] | None) -> MetricResult:
    check_metric(content, f"metrics.{name}")
    return with_error(MetricResult(**content), column)


class _Stored(Mapping[str, _T]):
    """Parts of a file, parsed and checked when they are first asked for.

    Args:
        skimmed: The file.
        names: Names of the parts, in order.
    """

    def __init__(self, skimmed: Skimmed, names: Mapping[str, int]):
        self._skimmed, self._names = skimmed, names
        self._read: dict[str, _T] = {}

    def __getitem__(self, name: str) -> _T:
        if name not in self._read:
            if name not in self._names:
                raise KeyError(name)
            with self._faults():
                self._read[name] = self._parse(name)
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    @contextmanager
    def _faults(self) -> Iterator[None]:
        path = self._skimmed.path
        try:
            yield
        except (ChangedError, FileNotFoundError):
            raise InputError(
                f"{path}: changed while it was being read; run the same command again"
            ) from None
        except (FieldError, TypeError) as error:
            raise InputError(f"{path}: not a result of kdbench: {error}") from None
        except (ValueError, RecursionError):
            _read_whole(path)  # names the place of a fault
            raise InputError(
                f"{path}: not laid out as kdbench writes it: each metric and each column of "
                "documents needs a line of its own"
            ) from None

    @abstractmethod
    def _parse(self, name: str) -> _T: ...


class StoredColumns(_Stored[Sequence[Any]]):
    """The columns of a file's documents.

    Args:
        skimmed: The file.
    """

    def __init__(self, skimmed: Skimmed):
        super().__init__(skimmed, skimmed.documents.names)

    def _parse(self, name: str) -> Sequence[Any]:
        column = self._skimmed.column(name)
        if name != "id":
            check_document_column(name, column, len(self["id"]))
        return packed(column)


class StoredMetrics(_Stored[MetricResult]):
    """The metrics of a file.

    Args:
        skimmed: The file.
        columns: Its columns, from which an old metric's standard error follows.
    """

    def __init__(self, skimmed: Skimmed, columns: StoredColumns):
        super().__init__(skimmed, skimmed.metrics.names)
        self._columns = columns

    def _parse(self, name: str) -> MetricResult:
        content = self._skimmed.metric(name)
        check_metric(content, f"metrics.{name}")
        metric = MetricResult(**content)
        has_error = metric.standard_error is not None or metric.ci_low is None
        return metric if has_error else with_error(metric, self._columns.get(name))
