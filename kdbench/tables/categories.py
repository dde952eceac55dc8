"""Stored runs with the prompts of one category, from each prompt's stored scores."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace

from kdbench.errors import InputError
from kdbench.stats.estimates import Estimate, mean_estimate
from kdbench.store.results import MetricResult, TaskResult
from kdbench.store.runs import StoredRun
from kdbench.text import NO_CATEGORY

_UNDEFINED = Estimate(None, None, None, None, {}, 0)
_NO_SCORES = "has no score of each prompt, so it has none of a category"


def categories_of(runs: Iterable[StoredRun], tasks: Iterable[str]) -> list[str]:
    """Return the categories of the prompts of tasks, sorted.

    Args:
        runs: Runs with results of the tasks.
        tasks: Names of tasks.

    Raises:
        InputError: No result has categories.
    """
    runs, names = list(runs), list(dict.fromkeys(tasks))
    results = [run.results[task] for run in runs for task in names if task in run.results]
    found = {name for result in results for name in _names(result)}
    if not found:
        raise InputError(
            f"by=category: no result of {', '.join(names)} has categories; {_way_out(runs)}"
        )
    return sorted(found)


def _way_out(runs: Iterable[StoredRun]) -> str:
    """Which tasks to choose, or how prompts get a category."""
    having = sorted({task for run in runs for task, r in run.results.items() if _names(r)})
    if having:
        return f"choose tasks= among {', '.join(having)}"
    return "rows of prompts name theirs in the field 'category', and kdbench eval stores them"


def only_category(run: StoredRun, category: str) -> StoredRun:
    """Return a run with the prompts of one category; tasks that have none of them are left out.

    Values and intervals are over the category's prompts. Standard deviations over seeds need each
    sample's scores and are left out.

    Args:
        run: The run.
        category: Name of the category.
    """
    results = {
        task: _only(result, rows)
        for task, result in run.results.items()
        if (rows := [index for index, name in enumerate(_names(result)) if name == category])
    }
    return replace(run, results=results)


def _names(result: TaskResult) -> list[str]:
    """The category of each prompt; nothing if the task has no categories."""
    return [category or NO_CATEGORY for category in result.categories or ()]


def _only(result: TaskResult, rows: Sequence[int]) -> TaskResult:
    documents = {name: [column[row] for row in rows] for name, column in result.documents.items()}
    metrics = {
        name: _metric(metric, documents.get(name)) for name, metric in result.metrics.items()
    }
    return replace(result, metrics=metrics, documents=documents)


def _metric(metric: MetricResult, column: Sequence[float | None] | None) -> MetricResult:
    """The metric on some prompts, from the mean over seeds of each."""
    numbers, reason = _UNDEFINED, _NO_SCORES
    if column is not None:
        numbers = mean_estimate(column, metric.unit)
        reason = "no prompt of the category has a score"
    return replace(
        metric,
        **asdict(numbers),
        reason=None if numbers.value is not None else metric.reason or reason,
        micro=None,
        ceiling=None,  # as the floor, that of all prompts
        floor=None,
    )
