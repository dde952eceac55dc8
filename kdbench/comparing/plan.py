"""`kdbench plan run=… tolerance=…`: how many prompts and seeds a gate needs.

The difference between two checkpoints on one prompt has the variance

    between + within / seeds

where `within` comes from sampling, and `between` from prompts on which the new checkpoint is truly
better or worse. Two runs show both. One run shows only its own sampling variance; the plan then
assumes a second checkpoint that is equally good on every prompt and draws independently, so that
`within` is twice the run's variance and `between` is 0.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np

from kdbench.comparing.compare import select_tasks
from kdbench.comparing.find import find_run
from kdbench.comparing.matching import comparison_problems
from kdbench.comparing.pairing import pair_scores
from kdbench.comparing.scores import ComparedRun
from kdbench.comparing.settings import PlanSettings
from kdbench.comparing.tolerance import format_tolerances, parse_tolerances
from kdbench.errors import InputError
from kdbench.stats.paired import detectable_errors, prompts_needed
from kdbench.system.frames import COUNT, NUMBER, TEXT, frame
from kdbench.system.notebook import html_table
from kdbench.text import AVERAGE, DECIMALS, aligned

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
class DifferenceVariance:
    """The variance of a prompt's difference on one task.

    Attributes:
        n: Number of prompts of the stored run.
        between: Variance that more seeds do not reduce.
        within: Variance of a single seed.
        base_mean: Mean score of the base, for relative tolerances.
    """

    n: int
    between: float
    within: float
    base_mean: float

    def with_seeds(self, seeds: int) -> float:
        """The variance of the difference between means over a number of seeds."""
        return self.between + self.within / seeds


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
        titles, *rows = self._table()
        return html_table(titles, rows, caption=self.title, notes=self.notes, left=(0, 1))

    def _table(self) -> list[list[str]]:
        seeds = list(self.rows[0].prompts)
        titles = [f"{count} seed{'s' * (count > 1)}" for count in seeds]
        table = [["task", "metric", "prompts", "tolerance", *titles]]
        for row in self.rows:
            cells = [f"{_shown(row.prompts[k])} ({row.sees[k]:.{row.decimals}f})" for k in seeds]
            tolerance = f"{row.tolerance:.{row.decimals}f}"
            table.append([row.task, row.metric, str(row.there), tolerance, *cells])
        return table

    def _lines(self) -> Iterator[str]:
        table = self._table()
        task, metric = 0, 1
        yield self.title
        yield ""
        yield from (f"  {line}" for line in aligned(table, left=(task, metric)))
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
    tolerances = parse_tolerances(settings.tolerance)
    second = None
    if settings.against is not None:
        second = find_run(settings.against, "against", settings.results, settings.gates)
        for problem in comparison_problems(run, second, tolerances, partial=False):
            raise InputError(problem.text)
    count = len(tolerances) * (len(run.tasks) + (len(run.tasks) > 1))
    detectable = detectable_errors(settings.alpha / count, settings.power)
    rows: list[GatePlanRow] = []
    for metric, tolerance in tolerances.items():
        variances = {task: _variance(run, second, task, metric) for task in run.tasks}
        unit = next(iter(run.tasks.values())).metrics[metric].unit
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
    return GatePlan(_title(run, second, settings), tuple(rows), tuple(_notes(settings, count)))


def _error(variances: Sequence[DifferenceVariance], seeds: int) -> float:
    """The standard error of the mean over tasks of the difference."""
    return sqrt(sum(v.with_seeds(seeds) / v.n for v in variances)) / len(variances)


def _variance(
    run: ComparedRun, second: ComparedRun | None, task: str, metric: str
) -> DifferenceVariance:
    """The variance that the samples show.

    Raises:
        InputError: The samples have no scores of the metric, or of fewer than two seeds.
    """
    if metric not in run.tasks[task].metrics:
        raise InputError(
            f"tolerance={metric}:…: {run.label} has no score per prompt of this metric for '{task}'"
        )
    scores = _scores_by_seed(run, task, metric)
    base_mean = float(np.mean(scores))
    if second is None:
        return DifferenceVariance(len(scores), 0.0, 2 * _variance_of_a_seed(scores), base_mean)
    paired = pair_scores(run, second, task, metric)
    rows = [run.tasks[task].ids.index(document) for document in paired.ids]
    second_rows = [second.tasks[task].ids.index(document) for document in paired.ids]
    second_scores = _scores_by_seed(second, task, metric)
    differences: np.ndarray = second_scores[second_rows] - scores[rows]
    n, seeds = differences.shape
    within = _variance_of_a_seed(differences)
    between = max(0.0, float(differences.mean(axis=1).var(ddof=1)) - within / seeds)
    return DifferenceVariance(n, between, within, base_mean)


def _variance_of_a_seed(scores: np.ndarray) -> float:
    """The mean over prompts of the variance over seeds, of scores of shape (prompts, seeds)."""
    return float(scores.var(axis=1, ddof=1).mean())


def _scores_by_seed(run: ComparedRun, task: str, metric: str) -> np.ndarray:
    scores = run.scores_by_seed(task, metric)
    if scores is None or scores.shape[1] < 2 or len(scores) < 2 or np.isnan(scores).any():
        raise InputError(
            f"{run.label}: a plan needs samples with {metric} of '{task}' for at least two seeds, "
            "to separate sampling variance from differences between prompts (samples/ is not "
            "committed)"
        )
    return scores


def _title(run: ComparedRun, second: ComparedRun | None, settings: PlanSettings) -> str:
    source = run.title if second is None else f"{second.title} against {run.title}"
    tolerances = format_tolerances(parse_tolerances(settings.tolerance))
    return (
        f"prompts needed to detect a loss of {tolerances} (in brackets: smallest change detected "
        f"with the run's own prompts), from {source}"
    )


def _notes(settings: PlanSettings, rows: int) -> Iterator[str]:
    yield (
        f"alpha {settings.alpha:g} at Holm's strictest level over {rows} row{'s' * (rows != 1)}, "
        f"{100 * settings.power:g} % power; AVG counts the prompts of all tasks, in the run's "
        "proportions"
    )
    if settings.against is None:
        yield (
            "From one run, the plan assumes a second checkpoint that is equally good on every "
            "prompt and draws independently. A similar checkpoint draws alike and needs fewer "
            "prompts; a retrained one is better on some prompts and worse on others, and needs "
            "more. against=RUN measures it."
        )
