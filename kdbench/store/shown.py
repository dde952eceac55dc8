"""How Python shows the results of one run: a short text, a table in a notebook, a data frame."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from kdbench.store.frames import results_frame
from kdbench.store.packed_folder import open_run
from kdbench.store.results import MetricResult, TaskResult
from kdbench.store.runs import StoredRun
from kdbench.system.notebook import html_table
from kdbench.text import DECIMALS, interval, shortened

if TYPE_CHECKING:
    import pandas as pd

_TASKS_IN_TEXT = 6


class ShownRun:
    """What measured or judged a run, with its folder and results.

    Attributes:
        run: Folder of the run.
        results: Results by task.
        groups: Results by group of tasks.
    """

    run: Path
    results: Mapping[str, TaskResult]
    groups: Mapping[str, TaskResult] = {}

    def __repr__(self) -> str:
        mains = [f"{task}: {_main(result)}" for task, result in self.results.items()]
        if more := mains[_TASKS_IN_TEXT:]:
            mains[_TASKS_IN_TEXT:] = [f"{len(more)} more tasks"]
        return f"{type(self).__name__}({str(self.run)!r}: {shortened(', '.join(mains), 400)})"

    def to_pandas(self, per: Literal["seed", "run", "document"] = "seed") -> "pd.DataFrame":
        """Return the run's numbers as a tidy data frame.

        Args:
            per: What a row is: a metric of a task for one `seed`, its mean over seeds with interval
                (`run`), or its mean for one `document`.
        """
        folder = f"{self.run.parent.name}/{self.run.name}"
        record = open_run(self.run).read_whole_run()
        return results_frame([StoredRun(folder, record, self.results, self.groups)], per)

    def _repr_html_(self) -> str:
        shown = {**self.results, **self.groups}
        names = dict.fromkeys(result.main_metric for result in shown.values())
        names |= dict.fromkeys(name for result in shown.values() for name in result.metrics)
        metrics = {name: [result.metrics.get(name) for result in shown.values()] for name in names}
        rows = [
            [name, _unit(found), *map(_cell, found)]
            for name, found in metrics.items()
            if any(metric is not None and metric.value is not None for metric in found)
        ]
        notes = ["Means over prompts and seeds, with 95 % intervals over prompts."]
        return html_table(
            ("metric", "unit", *shown), rows, caption=str(self.run), notes=notes, left=(0, 1)
        )


def _main(result: TaskResult) -> str:
    metric = result.metrics.get(result.main_metric)
    return result.main_metric if metric is None else f"{result.main_metric} {_number(metric)}"


def _number(metric: MetricResult) -> str:
    return "–" if metric.value is None else f"{metric.value:.{DECIMALS.get(metric.unit, 2)}f}"


def _cell(metric: MetricResult | None) -> str:
    if metric is None or metric.value is None:
        return "–"
    ends = interval(metric.ci_low, metric.ci_high, DECIMALS.get(metric.unit, 2))
    return f"{_number(metric)} {ends}".rstrip()


def _unit(metrics: list[MetricResult | None]) -> str:
    """The unit, with an arrow to where it is better."""
    metric = next(metric for metric in metrics if metric is not None)
    arrow = {"higher": " ↑", "lower": " ↓"}.get(metric.direction, "")
    return f"{metric.unit}{arrow}"
