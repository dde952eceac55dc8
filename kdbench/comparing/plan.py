"""`kdbench plan run=… tolerance=…`: how many prompts and seeds a gate needs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np

from kdbench.comparing.compare import select_tasks
from kdbench.comparing.find import find_run
from kdbench.comparing.matching import applies, comparison_problems
from kdbench.comparing.scores import ComparedRun
from kdbench.comparing.settings import PlanSettings
from kdbench.comparing.tolerance import Tolerance, format_tolerances, parse_tolerances
from kdbench.comparing.variance import (
    DifferenceVariance,
    scores_by_seed,
    shown_variance,
    unrelated_variance,
)
from kdbench.config import build
from kdbench.errors import InputError
from kdbench.stats.paired import detectable_errors, prompts_needed
from kdbench.system.frames import COUNT, NUMBER, TEXT, frame
from kdbench.system.notebook import html_table
from kdbench.text import AVERAGE, DECIMALS, aligned, counted

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = {
    "task": TEXT,
    "metric": TEXT,
    "n": COUNT,
    "tolerance": NUMBER,
    "seeds": COUNT,
    "prompts": COUNT,
    "sees": NUMBER,
}


@dataclass(frozen=True)
class GatePlanRow:
    """What the gate needs for one metric and task.

    Attributes:
        task: Name of the task, or `AVG`.
        metric: Name of the metric.
        tolerance: Loss to detect, in the metric's unit.
        decimals: Number of decimals shown.
        there: Number of prompts of the stored run.
        prompts: Number of prompts needed, by number of seeds; None at tolerance 0.
        sees: Smallest change detected with the stored run's prompts, by number of seeds.
    """

    task: str
    metric: str
    tolerance: float
    decimals: int
    there: int
    prompts: Mapping[int, int | None]
    sees: Mapping[int, float]


@dataclass(frozen=True, repr=False)
class GatePlan:
    """The prompts and seeds that a gate needs; `str` gives the table that the verb prints.

    Attributes:
        title: What the plan is for, and which run it rests on.
        rows: Rows of the table, in order.
        notes: Assumptions.
    """

    title: str
    rows: tuple[GatePlanRow, ...]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        return "".join(f"{line}\n" for line in self._lines())

    def __repr__(self) -> str:
        return str(self).rstrip("\n")

    def to_pandas(self) -> "pd.DataFrame":
        """Return the plan as a data frame: a row for each task, metric and number of seeds."""
        return frame(
            (
                {**vars(row), "n": row.there, "seeds": seeds, "prompts": prompts, "sees": sees}
                for row in self.rows
                for (seeds, prompts), sees in zip(
                    row.prompts.items(), row.sees.values(), strict=True
                )
            ),
            _COLUMNS,
        )

    def _repr_html_(self) -> str:
        titles, *rows = self.table()
        return html_table(titles, rows, caption=self.title, notes=self.notes, left=(0, 1))

    def blind_rows(self) -> list[GatePlanRow]:
        """The rows that cannot see their tolerance with the run's prompts and the fewest seeds."""
        return [row for row in self.rows if row.sees[min(row.sees)] > row.tolerance]

    def table(self) -> list[list[str]]:
        """The cells of the table: the titles of the columns, then a row for each task."""
        seeds = list(self.rows[0].prompts)
        titles = [counted(count, "seed") for count in seeds]
        table = [["task", "metric", "prompts", "tolerance", *titles]]
        for row in self.rows:
            cells = [f"{_shown(row.prompts[k])} ({row.sees[k]:.{row.decimals}f})" for k in seeds]
            tolerance = f"{row.tolerance:.{row.decimals}f}"
            table.append([row.task, row.metric, str(row.there), tolerance, *cells])
        return table

    def _lines(self) -> Iterator[str]:
        task, metric = 0, 1
        yield self.title
        yield ""
        yield from (f"  {line}" for line in aligned(self.table(), left=(task, metric)))
        yield ""
        yield from self.notes


def _shown(prompts: int | None) -> str:
    return "–" if prompts is None else str(prompts)


def plan(settings: PlanSettings) -> GatePlan:
    """Compute how many prompts and seeds a gate needs.

    Args:
        settings: Keys of the verb.

    Raises:
        InputError: There is no such run, the runs are not comparable, or there are no samples that
            show single seeds.
    """
    run = find_run(settings.run, "run", settings.results, settings.gates)
    run = select_tasks(run, settings.tasks)
    second = None
    if settings.against is not None:
        second = find_run(settings.against, "against", settings.results, settings.gates)
        tolerances = parse_tolerances(settings.tolerance)
        for problem in comparison_problems(run, second, tolerances, partial=False):
            raise InputError(problem.text)
    return plan_for(run, second, settings)


def plan_of_baseline(
    run: ComparedRun, tolerances: Mapping[str, Tolerance], alpha: float
) -> GatePlan:
    """What a gate sees whose baseline is a run, with the run's seeds and with more.

    Args:
        run: Run of the baseline.
        tolerances: Tolerances of the gate.
        alpha: Level of its tests.

    Raises:
        InputError: The samples are malformed, or a task has too few prompts for a plan.
    """
    protocol = next(iter(run.tasks.values())).fingerprint.get("protocol", {})
    count = max(1, len(protocol.get("seeds", ())))
    shows_seeds = all(
        scores_by_seed(run, task, metric) is not None
        for metric in tolerances
        for task, scores in run.tasks.items()
        if metric in scores.metrics
    )
    seeds = (count, 2 * count, 4 * count) if shows_seeds else (count,)
    tolerance = format_tolerances(tolerances)
    keys = {"run": run.label, "tolerance": tolerance, "alpha": alpha, "seeds": seeds}
    return plan_for(run, None, build(PlanSettings, keys), unrelated=not shows_seeds)


def plan_for(
    run: ComparedRun,
    second: ComparedRun | None,
    settings: PlanSettings,
    unrelated: bool = False,
) -> GatePlan:
    """The plan from one run, or from two comparable ones.

    Args:
        run: Run whose variance is used.
        second: Second run, for the variance of the difference.
        settings: Tolerances, level, power and numbers of seeds.
        unrelated: Whether a second checkpoint is assumed whose scores are unrelated to the run's,
            for runs that do not show single seeds.

    Raises:
        InputError: There are no samples that show single seeds.
    """
    tolerances = parse_tolerances(settings.tolerance)
    tasks_of = {
        metric: [task for task, s in run.tasks.items() if applies(metric, s, s)] or list(run.tasks)
        for metric in tolerances
    }
    count = sum(len(tasks) + (len(tasks) > 1) for tasks in tasks_of.values())
    detectable = detectable_errors(settings.alpha / count, settings.power)
    rows: list[GatePlanRow] = []
    for metric, tolerance in tolerances.items():
        variances = {
            task: unrelated_variance(run, task, metric)
            if unrelated
            else shown_variance(run, second, task, metric)
            for task in tasks_of[metric]
        }
        unit = run.tasks[tasks_of[metric][0]].metrics[metric].unit
        tasks_of_row = {task: [variance] for task, variance in variances.items()}
        if len(variances) > 1:
            tasks_of_row[AVERAGE] = list(variances.values())
        for task, of_row in tasks_of_row.items():
            allowed = tolerance.in_units(float(np.mean([v.base_mean for v in of_row])))
            sees = {seeds: detectable * _error(of_row, seeds) for seeds in settings.seeds}
            n = sum(variance.n for variance in of_row)
            prompts = {seeds: prompts_needed(n, change, allowed) for seeds, change in sees.items()}
            decimals = DECIMALS.get(unit, 2)
            rows.append(GatePlanRow(task, metric, allowed, decimals, n, prompts, sees))
    return GatePlan(
        _title(run, second, settings), tuple(rows), tuple(_notes(settings, count, unrelated))
    )


def _error(variances: Sequence[DifferenceVariance], seeds: int) -> float:
    """The standard error of the mean over tasks of the difference."""
    return sqrt(sum(v.with_seeds(seeds) / v.n for v in variances)) / len(variances)


def _title(run: ComparedRun, second: ComparedRun | None, settings: PlanSettings) -> str:
    source = run.title if second is None else f"{second.title} against {run.title}"
    tolerances = format_tolerances(parse_tolerances(settings.tolerance))
    return (
        f"prompts needed to detect a loss of {tolerances} (in brackets: smallest change detected "
        f"with the run's own prompts), from {source}"
    )


def _notes(settings: PlanSettings, rows: int, unrelated: bool) -> Iterator[str]:
    yield (
        f"alpha {settings.alpha:g} at Holm's strictest level over {rows} row{'s' * (rows != 1)}, "
        f"{100 * settings.power:g} % power; AVG counts the prompts of all tasks, in the run's "
        "proportions"
    )
    if unrelated:
        yield (
            "The run does not show single seeds, so the plan assumes a second checkpoint that is "
            "as good and whose scores on single prompts are unrelated to the run's. Checkpoints "
            "of one model are related and need fewer prompts."
        )
    elif settings.against is None:
        yield (
            "From one run, the plan assumes a second checkpoint that is equally good on every "
            "prompt and draws independently. A similar checkpoint draws alike and needs fewer "
            "prompts; a retrained one is better on some prompts and worse on others, and needs "
            "more. against=RUN measures it."
        )
