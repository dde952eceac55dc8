"""The columns of a table: the tasks of one metric, or those that `columns=` names."""

from collections.abc import Iterable, Sequence
from typing import cast

from kdbench.config import TableSettings
from kdbench.errors import InputError, nearest
from kdbench.metrics import base_of, judged_metric, metrics, result_name
from kdbench.store.results import MetricResult
from kdbench.store.runs import StoredRun
from kdbench.tables.column import Column, Direction
from kdbench.tables.cost import COSTS, cost_column
from kdbench.tables.deviations import DEVIATIONS, deviation_column
from kdbench.tables.frontier import FRONTIER_GAIN, frontier_column
from kdbench.tables.logged import LOGGED, log_column, logged_names
from kdbench.tables.serving import SERVING, serving_columns
from kdbench.task import TITLES, task_title
from kdbench.text import AVERAGE

_JUDGING = "judging"  # stands for these metrics of the judges
_JUDGED = ("judge", "judge_score", "win_rate", "judge_flips", "words_ratio", "judge_unparsable")


def plain_columns(settings: TableSettings, runs: Sequence[StoredRun]) -> tuple[Column, ...]:
    """The columns of `metric=`: its tasks, and their average."""
    tasks = settings.tasks
    given = "metric" in settings.model_fields_set
    shown = {t: settings.metric if given else _metric_of(t, settings.metric, runs) for t in tasks}
    columns = [_plain_column(task_title(t), shown[t], (t,), False, runs, tasks) for t in tasks]
    if len(set(shown.values())) > 1:  # there is no mean of different metrics
        return tuple(columns)
    metric = next(iter(shown.values()), settings.metric)
    return (*columns, _plain_column(AVERAGE, metric, tasks, True, runs, tasks))


def _metric_of(task: str, wanted: str, runs: Sequence[StoredRun]) -> str:
    """The wanted metric; the main one of a task that has it in no run, such as accuracy."""
    results = [result for run in runs if (result := run.result(task)) is not None]
    if not results or any(wanted in result.metrics for result in results):
        return wanted
    return results[0].main_metric


def _plain_column(
    title: str,
    metric: str,
    shown: tuple[str, ...],
    mean: bool,
    runs: Sequence[StoredRun],
    tasks: Sequence[str],
) -> Column:
    unit: str = "points"
    direction: Direction = "higher"
    for run in runs:  # if the runs hold several versions of the metric, the last one counts
        known = [result for result in _results(run, tasks, metric) if result.value is not None]
        if known:
            unit, direction = known[0].unit, cast(Direction, known[0].direction)
    return Column(title, metric, shown, mean, unit, direction)


def _results(run: StoredRun, tasks: Iterable[str], metric: str) -> list[MetricResult]:
    results = [result for task in tasks if (result := run.result(task)) is not None]
    return [result.metrics[metric] for result in results if metric in result.metrics]


def full_metric_name(name: str, runs: Sequence[StoredRun]) -> str:
    """The name of a metric in results; a bare fidelity metric means its headline position set.

    Args:
        name: Value of `metric=`: `rougeL`, `acceptance`, `acceptance@student`.
        runs: Runs of the table.
    """
    return result_name(name, _metrics_of(runs)) or name


def _metrics_of(runs: Sequence[StoredRun]) -> dict[str, MetricResult]:
    return {
        name: metric
        for run in runs
        for result in (*run.results.values(), *run.groups.values())
        for name, metric in result.metrics.items()
    }


def chosen_columns(settings: TableSettings, runs: Sequence[StoredRun]) -> tuple[Column, ...]:
    """The columns that `columns=` names.

    Raises:
        InputError: a name that is neither that of a task nor that of a metric.
    """
    reader = _ColumnReader(settings, runs)
    names = [
        column
        for name in settings.columns
        for column in (_judging(runs) if name == _JUDGING else [name])
    ]
    return tuple(reader.column(name) for name in dict.fromkeys(names))


def _judging(runs: Sequence[StoredRun]) -> list[str]:
    """The main metrics of the judges of the runs; those of graded responses if there are none."""

    def place(name: str) -> tuple[str, int]:
        base, _, opponent = name.partition("@")
        return opponent, _JUDGED.index(base)

    known = [name for name in _metrics_of(runs) if name.partition("@")[0] in _JUDGED]
    return sorted(known, key=place) or ["judge", "judge_score", "judge_unparsable"]


class _ColumnReader:
    """Reads the names in `columns=`."""

    def __init__(self, settings: TableSettings, runs: Sequence[StoredRun]):
        self._settings, self._runs = settings, runs
        measured = {task for run in runs for task in (*run.results, *run.groups)}
        self._tasks = {*settings.tasks, *TITLES, *measured}
        self._metrics = _metrics_of(runs)
        self._stored: dict[str, Column] = dict(serving_columns(settings, runs))
        if FRONTIER_GAIN in settings.columns:
            self._stored[FRONTIER_GAIN] = frontier_column(settings.results)

    def column(self, name: str) -> Column:
        if name in self._stored:
            return self._stored[name]
        if (of_training := self._of_training(name)) is not None:
            return of_training
        task, colon, metric = name.partition(":")
        if colon and task not in self._tasks:
            raise InputError(f"columns={name}: task '{task}': {nearest(task, self._tasks)}")
        if colon:
            metric = self._metric(metric, name)
            return self._make(f"{task_title(task)} {metric}", metric, (task,), mean=False)
        if name == AVERAGE or name in DEVIATIONS:
            metric = self._metric(self._settings.metric, name)
            average = self._make(name, metric, self._settings.tasks, mean=True)
            return average if name == AVERAGE else deviation_column(name, average)
        if name in self._tasks:
            metric = self._metric(self._settings.metric, name)
            return self._make(task_title(name), metric, (name,), mean=False)
        metric = self._metric(name, name)
        return self._make(metric, metric, self._settings.tasks, mean=True)

    def _of_training(self, name: str) -> Column | None:
        """The column of a cost or of a logged value; None for another name."""
        if name in COSTS:
            return cost_column(name, self._runs)
        if not name.startswith(LOGGED):
            return None
        known = logged_names(self._runs)
        if known and name not in known:
            raise InputError(f"columns={name}: no run has logged it: {nearest(name, known)}")
        return log_column(name)

    def _make(self, name: str, metric: str, tasks: tuple[str, ...], mean: bool) -> Column:
        unit, direction = self._unit_and_direction(metric)
        return Column(name, metric, tasks, mean, unit, direction, arrow=True)

    def _metric(self, metric: str, column: str) -> str:
        name = result_name(metric, self._metrics)
        if name is None and judged_metric(metric) is not None:
            return metric
        if name is None:
            known = {
                *(AVERAGE, _JUDGING, FRONTIER_GAIN, *COSTS, *SERVING, *DEVIATIONS),
                *(*self._tasks, *self._metrics, *metrics.names()),
            }
            raise InputError(f"columns={column}: not a task or metric: {nearest(metric, known)}")
        return name

    def _unit_and_direction(self, metric: str) -> tuple[str, Direction]:
        if metric in self._metrics:
            result = self._metrics[metric]
            return result.unit, cast(Direction, result.direction)
        if judged := judged_metric(metric):
            return judged.unit, judged.direction
        known = metrics.get(base_of(metric))
        return known.unit, known.direction
