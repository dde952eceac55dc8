"""What the columns of a table show: `columns=` words become metrics over tasks."""

from collections.abc import Iterable, Sequence
from typing import cast

from kdbench.config import TableSettings
from kdbench.errors import InputError, nearest
from kdbench.metrics import metrics, result_name
from kdbench.store.results import MetricResult
from kdbench.store.runs import StoredRun
from kdbench.tables.column import Column, Direction
from kdbench.tables.cost import COSTS, cost_column
from kdbench.task import TITLES
from kdbench.text import AVERAGE


def plain_columns(settings: TableSettings, runs: Sequence[StoredRun]) -> tuple[Column, ...]:
    """The tasks, and their average, of one metric."""
    metric, tasks = settings.metric, settings.tasks
    unit: str = "points"
    direction: Direction = "higher"
    for run in runs:  # of several versions of a metric the last one read names the unit
        known = [part for part in _metric_of(run, tasks, metric) if part.value is not None]
        if known:
            unit, direction = known[0].unit, cast(Direction, known[0].direction)
    each = [Column(TITLES.get(t, t), metric, (t,), False, unit, direction) for t in tasks]
    return (*each, Column(AVERAGE, metric, tasks, True, unit, direction))


def _metric_of(run: StoredRun, tasks: Iterable[str], metric: str) -> list[MetricResult]:
    results = [run.results[task] for task in tasks if task in run.results]
    return [one.metrics[metric] for one in results if metric in one.metrics]


def headline(word: str, runs: Sequence[StoredRun]) -> str:
    """The result that `metric=` means: a bare fidelity metric is that of its headline set."""
    known = {
        name: one
        for run in runs
        for result in run.results.values()
        for name, one in result.metrics.items()
    }
    return result_name(word, known) or word


def chosen_columns(settings: TableSettings, runs: Sequence[StoredRun]) -> tuple[Column, ...]:
    """The columns that `columns=` names.

    Raises:
        InputError: a word that is neither a task nor a metric.
    """
    words = _Words(settings, runs)
    return tuple(words.column(word) for word in dict.fromkeys(settings.columns))


class _Words:
    """The words that `columns=` can hold."""

    def __init__(self, settings: TableSettings, runs: Sequence[StoredRun]):
        self._settings, self._runs = settings, runs
        results = [one for run in runs for one in run.results.values()]
        self._tasks = {*settings.tasks, *TITLES, *(one.task for one in results)}
        self._metrics: dict[str, MetricResult] = {}
        for one in results:
            self._metrics.update(one.metrics)

    def column(self, word: str) -> Column:
        if word in COSTS:
            return cost_column(word, self._runs)
        task, colon, metric = word.partition(":")
        if colon and task not in self._tasks:
            raise InputError(f"columns={word}: task '{task}': {nearest(task, self._tasks)}")
        if colon:
            name = self._name(metric, word)
            return self._make(f"{TITLES.get(task, task)} {name}", name, (task,), mean=False)
        shown = self._settings.metric
        if word == AVERAGE:
            return self._make(word, self._name(shown, word), self._settings.tasks, mean=True)
        if word in self._tasks:
            name = self._name(shown, word)
            return self._make(TITLES.get(word, word), name, (word,), mean=False)
        name = self._name(word, word)
        return self._make(name, name, self._settings.tasks, mean=True)

    def _make(self, name: str, metric: str, tasks: tuple[str, ...], mean: bool) -> Column:
        unit, direction = self._kind(metric)
        return Column(name, metric, tasks, mean, unit, direction, judged=True)

    def _name(self, metric: str, word: str) -> str:
        name = result_name(metric, self._metrics)
        if name is None:
            known = {AVERAGE, *COSTS, *self._tasks, *self._metrics, *metrics.names()}
            raise InputError(f"columns={word}: no task or metric: {nearest(metric, known)}")
        return name

    def _kind(self, metric: str) -> tuple[str, Direction]:
        if metric in self._metrics:
            found = self._metrics[metric]
            return found.unit, cast(Direction, found.direction)
        kind = metrics.get(metric.partition("@")[0])
        return kind.unit, kind.direction
