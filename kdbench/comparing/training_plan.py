"""`kdbench plan` for recipes: how many training seeds a difference needs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kdbench.comparing.pairing import pair_scores
from kdbench.comparing.recipes import paired_recipes
from kdbench.comparing.scores import ComparedRun
from kdbench.comparing.settings import PlanSettings
from kdbench.comparing.tolerance import Tolerance, format_tolerances, parse_tolerances
from kdbench.errors import InputError
from kdbench.stats.variances import variances
from kdbench.text import AVERAGE, DECIMALS, aligned

_MOST = 1000  # training seeds; nobody trains more
_ALL = 10**6  # training seeds, whose variance is nothing


@dataclass(frozen=True)
class TrainingPlanRow:
    """What one metric and task needs.

    Attributes:
        task: Name of the task, or `AVG`.
        metric: Name of the metric.
        prompts: Number of prompts.
        tolerance: Difference to detect, in the metric's unit.
        decimals: Number of decimals shown.
        sd_training: Standard deviation of the difference between pairs of trainings.
        sees: Smallest difference detected at the present prompts, by number of training seeds.
        limit: Smallest difference detected at the present prompts with any number.
        needed: Number of training seeds that detects the tolerance; None if prompts are too few.
    """

    task: str
    metric: str
    prompts: int
    tolerance: float
    decimals: int
    sd_training: float
    sees: Mapping[int, float]
    limit: float
    needed: int | None

    @property
    def needs(self) -> str:
        """What the tolerance needs."""
        if self.needed is not None:
            return f"{self.needed} training seeds"
        if self.tolerance == 0:
            return "a tolerance above 0"
        return f"more prompts (these see {self.limit:.{self.decimals}f})"


@dataclass(frozen=True)
class TrainingPlan:
    """The training seeds that a difference needs; `str` gives the table that the verb prints.

    Attributes:
        title: What the plan is for, and which runs it rests on.
        rows: Rows of the table, in order.
        notes: Assumptions.
    """

    title: str
    rows: tuple[TrainingPlanRow, ...]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        return "".join(f"{line}\n" for line in self._lines())

    def table(self) -> list[list[str]]:
        """The cells of the table: the titles of the columns, then a row for each task."""
        counts = list(self.rows[0].sees)
        titles = [f"{count} seeds" for count in counts]
        table = [["task", "metric", "prompts", "sd_training", *titles, "tolerance", "needs"]]
        for row in self.rows:
            numbers = [row.sd_training, *row.sees.values(), row.tolerance]
            cells = [f"{number:.{row.decimals}f}" for number in numbers]
            table.append([row.task, row.metric, str(row.prompts), *cells, row.needs])
        return table

    def _lines(self) -> Iterator[str]:
        table = self.table()
        task, metric, needs = 0, 1, len(table[0]) - 1
        yield self.title
        yield ""
        yield from (f"  {line}" for line in aligned(table, left=(task, metric, needs)))
        yield ""
        yield from self.notes


def training_plan(
    run: ComparedRun, second: ComparedRun | None, settings: PlanSettings
) -> TrainingPlan:
    """The plan from one recipe, or from the paired differences of two comparable ones.

    Args:
        run: Recipe whose variances are used.
        second: Second recipe, for the variances of the difference.
        settings: Tolerances, level, power and numbers of training seeds.

    Raises:
        InputError: A task has too few prompts, or too few training seeds are in both recipes.
    """
    if second is not None and not (run.trainings and second.trainings):
        recipe, single = (run, second) if run.trainings else (second, run)
        raise InputError(
            f"against={settings.against}: {recipe.label} is a recipe of {len(recipe.trainings)} "
            f"training seeds and {single.label} a single checkpoint; give two recipes or two "
            "run folders"
        )
    if second is not None:
        run, second, _ = paired_recipes(run, second)
    tolerances = parse_tolerances(settings.tolerance)
    groups = [
        (metric, of_row)
        for metric in tolerances
        for of_row in _rows_of([task for task in run.tasks if metric in run.tasks[task].metrics])
    ]
    level = settings.alpha / max(1, len(groups))
    rows = [
        _row(run, second, metric, tasks, tolerances[metric], level, settings)
        for metric, tasks in groups
    ]
    if missing := [metric for metric in tolerances if metric not in {row.metric for row in rows}]:
        raise InputError(
            f"tolerance={missing[0]}:…: {run.label} has no score per prompt of this metric"
        )
    notes = _notes(run, second, settings, len(rows))
    return TrainingPlan(_title(run, second, settings), tuple(rows), tuple(notes))


def _rows_of(tasks: Sequence[str]) -> list[Sequence[str]]:
    """The tasks of each row: each alone, and all for the average if there are several."""
    return [*([task] for task in tasks), *([tasks] if len(tasks) > 1 else [])]


def _row(
    run: ComparedRun,
    second: ComparedRun | None,
    metric: str,
    tasks: Sequence[str],
    requested: Tolerance,
    level: float,
    settings: PlanSettings,
) -> TrainingPlanRow:
    gaps = [_gaps(run, second, task, metric) for task in tasks]
    spread = variances(gaps)
    spread = spread.of_difference() if second is None else spread
    scores = [run.tasks[task].metrics[metric] for task in tasks]
    tolerance = requested.in_units(float(np.mean([np.nanmean(of.means) for of in scores])))

    def sees(trained: int) -> float:
        return spread.with_trainings(trained).detectable(level, settings.power)

    return TrainingPlanRow(
        task=tasks[0] if len(tasks) == 1 else AVERAGE,
        metric=metric,
        prompts=sum(of_task.shape[2] for of_task in gaps),
        tolerance=tolerance,
        decimals=DECIMALS.get(scores[0].unit, 2),
        sd_training=spread.training,
        sees={trained: sees(trained) for trained in settings.train_seeds},
        limit=sees(_ALL),
        needed=_fewest(lambda trained: sees(trained) <= tolerance),
    )


def _fewest(is_enough: Callable[[int], bool]) -> int | None:
    """The smallest number of training seeds that is enough; None if a thousand are not."""
    few, many = 1, 2
    while not is_enough(many):
        few, many = many, 2 * many
        if many > _MOST:
            return None
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if is_enough(middle) else (middle, many)
    return many


def _gaps(run: ComparedRun, second: ComparedRun | None, task: str, metric: str) -> np.ndarray:
    """Scores or differences of a task, shape (trainings, 1, prompts)."""
    if second is None:
        scores = run.tasks[task].metrics[metric].by_training
        gaps = None if scores is None else scores[:, ~np.isnan(scores).any(axis=0)]
    else:
        gaps = pair_scores(run, second, task, metric).by_training
    if gaps is None or gaps.shape[1] < 2:
        raise InputError(f"{run.label}: a plan needs at least two prompts of '{task}'")
    shown: np.ndarray = gaps[:, None, :]
    return shown


def _title(run: ComparedRun, second: ComparedRun | None, settings: PlanSettings) -> str:
    source = run.title if second is None else f"{second.title} against {run.title}"
    tolerances = format_tolerances(parse_tolerances(settings.tolerance))
    return (
        "smallest difference between two recipes that is detected with a number of training seeds "
        f"of each, and the number needed to detect {tolerances}, from {source}"
    )


def _notes(
    run: ComparedRun, second: ComparedRun | None, settings: PlanSettings, rows: int
) -> Iterator[str]:
    from scipy.stats import chi2

    yield (
        f"alpha {settings.alpha:g} at Holm's strictest level over {rows} row{'s' * (rows != 1)}, "
        f"{100 * settings.power:g} % power; at the present prompts and sampling seeds"
    )
    trained = len(run.trainings)
    low, high = (((trained - 1) / chi2.ppf(p, trained - 1)) ** 0.5 for p in (0.975, 0.025))
    yield (
        "sd_training: deviation of the difference between pairs of trainings, beyond the chance in "
        f"their responses. {trained} training seeds show it roughly: the true one may be {low:.1f} "
        f"to {high:.1f} times as large (95 %), and 0 does not show that there is none."
    )
    if second is None:
        yield (
            "From one recipe, the plan assumes a second one that is equally good on every prompt, "
            "varies as much and is trained independently. against=RECIPE measures it."
        )
