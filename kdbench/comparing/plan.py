"""`kdbench plan run=… tolerance=…`: how many prompts and seeds a gate needs.

A prompt's difference has a variance of

    between + within / seeds

where `within` comes from sampling and `between` from prompts that the new checkpoint answers
better or worse for good. Two runs show both. One run shows its own sampling: beside a checkpoint
that is as good on every prompt and draws independently, within is twice the run's and between 0.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np

from kdbench.comparing.compare import chosen
from kdbench.comparing.find import find_side
from kdbench.comparing.matching import problems_of
from kdbench.comparing.pairing import pair
from kdbench.comparing.settings import PlanSettings
from kdbench.comparing.sides import Side
from kdbench.comparing.tolerance import read_tolerances, said_tolerances
from kdbench.errors import InputError
from kdbench.stats.paired import reach
from kdbench.text import AVERAGE, DECIMALS


@dataclass(frozen=True)
class Spread:
    """How much a prompt's difference varies.

    Attributes:
        n: prompts of the stored run.
        between: variance that more seeds do not lessen.
        within: variance of one seed.
        mean: of the base's scores, for relative tolerances.
    """

    n: int
    between: float
    within: float
    mean: float

    def variance(self, seeds: int) -> float:
        """Of the difference of a prompt's means over so many seeds."""
        return self.between + self.within / seeds


@dataclass(frozen=True)
class Need:
    """What a row of the gate needs.

    Attributes:
        task: its name, or `AVG`.
        metric: its name.
        tolerance: in the metric's unit.
        decimals: digits of the unit.
        there: prompts of the stored run.
        prompts: needed, by number of seeds; None for a tolerance of 0.
        sees: by number of seeds, the change that the stored run's prompts would show.
    """

    task: str
    metric: str
    tolerance: float
    decimals: int
    there: int
    prompts: Mapping[int, int | None]
    sees: Mapping[int, float]


@dataclass(frozen=True)
class Plan:
    """Prompts and seeds of a gate; `print` shows them.

    Attributes:
        title: what it rests on.
        rows: in order.
        notes: what it supposes.
    """

    title: str
    rows: tuple[Need, ...]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        return "".join(f"{line}\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        seeds = list(self.rows[0].prompts)
        yield self.title
        yield ""
        heads = [f"{k} seed{'s' * (k > 1)}" for k in seeds]
        lines = [["task", "metric", "prompts", "tolerance", *heads]]
        for row in self.rows:
            cells = [f"{_count(row.prompts[k])} ({row.sees[k]:.{row.decimals}f})" for k in seeds]
            allowed = f"{row.tolerance:.{row.decimals}f}"
            lines.append([row.task, row.metric, str(row.there), allowed, *cells])
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        for line in lines:
            left = [word.ljust(width) for word, width in zip(line[:2], widths[:2], strict=True)]
            right = [word.rjust(width) for word, width in zip(line[2:], widths[2:], strict=True)]
            yield "  " + "  ".join([*left, *right])
        yield ""
        yield from self.notes


def _count(prompts: int | None) -> str:
    return "–" if prompts is None else str(prompts)


def plan(settings: PlanSettings) -> Plan:
    """How many prompts and seeds a gate needs.

    Raises:
        InputError: no such run, runs that do not compare, or no samples to tell seeds apart.
    """
    run = chosen(find_side(settings.run, "run", settings.results, settings.gates), settings.tasks)
    other = None
    if settings.against is not None:
        other = find_side(settings.against, "against", settings.results, settings.gates)
        for problem in problems_of(run, other, read_tolerances(settings.tolerance), partial=False):
            raise InputError(problem.text)
    tolerances = read_tolerances(settings.tolerance)
    rows = len(tolerances) * (len(run.tasks) + (len(run.tasks) > 1))
    errors = reach(settings.alpha / rows, settings.power)
    needs: list[Need] = []
    for metric, tolerance in tolerances.items():
        spreads = {task: _spread(run, other, task, metric) for task in run.tasks}
        unit = next(iter(run.tasks.values())).metrics[metric].unit
        groups = [({task: one}, task) for task, one in spreads.items()]
        if len(spreads) > 1:
            groups.append((spreads, AVERAGE))
        for group, name in groups:
            allowed = tolerance.within(float(np.mean([one.mean for one in group.values()])))
            sees = {k: errors * _error(list(group.values()), k) for k in settings.seeds}
            there = sum(one.n for one in group.values())
            prompts = {
                k: ceil(there * (seen / allowed) ** 2) if allowed else None
                for k, seen in sees.items()
            }
            digits = DECIMALS.get(unit, 2)
            needs.append(Need(name, metric, allowed, digits, there, prompts, sees))
    return Plan(_title(run, other, settings), tuple(needs), tuple(_notes(settings, rows)))


def _error(spreads: Sequence[Spread], seeds: int) -> float:
    """Standard error of the mean of the tasks' differences."""
    return sqrt(sum(one.variance(seeds) / one.n for one in spreads)) / len(spreads)


def _spread(run: Side, other: Side | None, task: str, metric: str) -> Spread:
    """What the samples show.

    Raises:
        InputError: no scores of single seeds, or of one seed alone.
    """
    if metric not in run.tasks[task].metrics:
        raise InputError(f"tolerance={metric}:…: {run.label} has no scores by prompt in '{task}'")
    scores = _by_seed(run, task, metric)
    mean = float(np.mean(scores))
    if other is None:
        return Spread(len(scores), 0.0, 2 * _within(scores), mean)
    pairs = pair(run, other, task, metric)
    rows = [run.tasks[task].ids.index(one) for one in pairs.ids]
    theirs = [other.tasks[task].ids.index(one) for one in pairs.ids]
    differences: np.ndarray = _by_seed(other, task, metric)[theirs] - scores[rows]
    n, seeds = differences.shape
    within = _within(differences)
    between = max(0.0, float(differences.mean(axis=1).var(ddof=1)) - within / seeds)
    return Spread(n, between, within, mean)


def _within(scores: np.ndarray) -> float:
    return float(scores.var(axis=1, ddof=1).mean())


def _by_seed(side: Side, task: str, metric: str) -> np.ndarray:
    scores = side.by_seed(task, metric)
    if scores is None or scores.shape[1] < 2 or len(scores) < 2 or np.isnan(scores).any():
        raise InputError(
            f"{side.label}: needs samples with {metric} of '{task}' for two seeds or more, to tell "
            "the noise of sampling from the prompts (samples/ is not committed)"
        )
    return scores


def _title(run: Side, other: Side | None, settings: PlanSettings) -> str:
    rests = run.title if other is None else f"{other.title} against {run.title}"
    return (
        f"prompts (and the change seen with those of the run) for tolerance "
        f"{said_tolerances(read_tolerances(settings.tolerance))}, from {rests}"
    )


def _notes(settings: PlanSettings, rows: int) -> Iterator[str]:
    yield (
        f"alpha {settings.alpha:g} at the first level of Holm over {rows} rows, "
        f"{settings.power:.0%} chance; AVG counts the prompts of all tasks, in the run's shares."
    )
    if settings.against is None:
        yield (
            "From one run: as if the new checkpoint were as good on every prompt and drew "
            "independently. A near one draws alike and needs fewer prompts, a retrained one also "
            "changes prompts for good and needs more: against=RUN measures it."
        )
