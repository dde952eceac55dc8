"""A column of the table."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from kdbench.stats.estimates import average
from kdbench.store.results import MetricResult
from kdbench.store.runs import StoredRun
from kdbench.tables.model import Cell, listed
from kdbench.tables.recipes import recipe_mean
from kdbench.task import task_title
from kdbench.text import DECIMALS

Direction = Literal["higher", "lower", "none"]
_ARROWS = {"higher": " ↑", "lower": " ↓", "none": ""}


@dataclass(frozen=True)
class Column:
    """A column: a metric of one task, or its plain mean over several.

    Attributes:
        name: Name in its title.
        metric: Name of the metric.
        tasks: Tasks whose results it shows.
        mean: Whether it is the mean over the tasks.
        unit: Unit of the metric.
        direction: Direction in which the metric is better.
        arrow: Whether an arrow in its title shows the direction.
    """

    name: str
    metric: str
    tasks: tuple[str, ...]
    mean: bool
    unit: str = "points"
    direction: Direction = "higher"
    arrow: bool = False

    @property
    def title(self) -> str:
        """The header of the column."""
        return self.name + (_ARROWS[self.direction] if self.arrow else "")

    @property
    def subject(self) -> str:
        """The column, as the subject of the sentence that describes it."""
        if not self.mean:
            return self.name
        kind = self.unit if self.name == self.metric else f"{self.metric}, {self.unit}"
        return f"{self.name} ({kind})"

    @property
    def predicates(self) -> tuple[str, str]:
        """The predicate of that sentence, in the singular and in the plural."""
        if not self.mean:
            shown = f"{self.metric} ({self.unit})"
            return f"shows {shown}", f"show {shown}"
        tasks = listed([task_title(task) for task in self.tasks])
        return f"is the mean over {tasks}", f"are means over {tasks}"

    def results(self, run: StoredRun) -> list[MetricResult | None]:
        """The metric's result for each task; None where the run has none."""
        by_task = (run.result(task) for task in self.tasks)
        return [None if result is None else result.metrics.get(self.metric) for result in by_task]

    def cell(self, run: StoredRun) -> Cell | None:
        """The run's cell; None if the number is missing, or one of those to average."""
        results = self.results(run)
        if not self.mean:
            return _task_cell(results[0])
        cell = _mean_cell(results)
        if cell is None or not run.trainings:
            return cell
        # A good student is good at all tasks, so their intervals do not add up.
        found = recipe_mean(run, self.tasks, self.metric)
        if found is None:
            return replace(cell, ci_low=None, ci_high=None)
        low, high = found.interval
        return replace(cell, ci_low=low, ci_high=high, sd=found.variances.sampling)


def column_notes(columns: Sequence[Column]) -> tuple[str, ...]:
    """Sentences that describe columns; columns of one kind share a sentence."""
    subjects: dict[tuple[str, str], list[str]] = {}
    for column in columns:
        subjects.setdefault(column.predicates, []).append(column.subject)
    return tuple(
        f"{listed(names)} {singular if len(names) == 1 else plural}."
        for (singular, plural), names in subjects.items()
    )


def _task_cell(result: MetricResult | None) -> Cell | None:
    if result is None or result.value is None:
        return None
    return Cell(
        result.value,
        result.ci_low,
        result.ci_high,
        result.seed_sd,
        result.n,
        DECIMALS.get(result.unit, 2),
        bound=result.bound,
    )


def _mean_cell(results: Sequence[MetricResult | None]) -> Cell | None:
    mean = average([None if result is None else vars(result) for result in results])
    if mean is None or mean.value is None:
        return None
    known = [result for result in results if result is not None]
    decimals = DECIMALS.get(known[0].unit, 2)
    bound = next((result.bound for result in known if result.bound), None)
    return Cell(mean.value, mean.ci_low, mean.ci_high, mean.seed_sd, mean.n, decimals, bound=bound)
