"""Paired differences between the runs of a site, as `kdbench compare` computes them.

Each metric is compared by itself at tolerance 0, so that Holm's correction covers the tasks of one
metric, and `kdbench compare BASE NEW tolerance=METRIC:0` prints the same rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import permutations
from typing import Any

from kdbench.comparing.comparison import compare_runs
from kdbench.comparing.model import ComparedRow, RowTestMethod
from kdbench.comparing.scores import ComparedRun, read_run
from kdbench.comparing.tolerance import Tolerance
from kdbench.comparing.verdict import Rules
from kdbench.site.source import SiteSource

_MOST_WORK = 1_000_000  # tests times prompts: half a minute on one core
_METHOD = RowTestMethod(partial=True)


@dataclass(frozen=True)
class RunPair:
    """Two runs, compared.

    Attributes:
        base: Folder of the run to compare with.
        new: Folder of the run that is compared.
        rows: Rows by metric: a row for each task, and one for their average.
        problems: Why tasks are missing, each reason once.
    """

    base: str
    new: str
    rows: Mapping[str, Sequence[ComparedRow]] = field(repr=False)
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pairs:
    """The pairs of a site, which are compared when they are needed.

    Attributes:
        source: Runs and tasks.
        metrics: Names of the metrics to compare, the score first.
    """

    source: SiteSource
    metrics: tuple[str, ...]
    _done: dict[tuple[str, str], RunPair] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def runs(self) -> dict[str, ComparedRun]:
        """The scores of each run on the tasks shown, by its folder."""
        runs = {}
        for run in self.source.runs:
            scores = read_run(self.source.settings.results / run.folder)
            tasks = {name: of for name, of in scores.tasks.items() if name in self.source.tasks}
            if tasks:
                runs[run.folder] = replace(scores, label=run.folder, tasks=tasks)
        return runs

    @cached_property
    def base(self) -> str | None:
        """Folder of the run that others are compared with first; None without a run."""
        baseline = self.source.baseline
        if baseline is not None and baseline.folder in self.runs:
            return baseline.folder
        return next(iter(self.runs), None)

    @cached_property
    def are_all(self) -> bool:
        """Whether every run is compared with every other, not only with the base."""
        pairs = len(self.runs) * (len(self.runs) - 1)
        return self._prompts * pairs * len(self.metrics) <= _MOST_WORK

    @cached_property
    def compared_metrics(self) -> tuple[str, ...]:
        """The metrics that are compared; the first two if all would take too long."""
        work = self._prompts * (len(self.runs) - 1) * len(self.metrics)
        return self.metrics if self.are_all or work <= _MOST_WORK else self.metrics[:2]

    @cached_property
    def _prompts(self) -> int:
        """The number of prompts of all tasks; of runs that differ, the one with the most counts."""
        sizes: dict[str, int] = {}
        for run in self.runs.values():
            for task, scores in run.tasks.items():
                sizes[task] = max(sizes.get(task, 0), len(scores.ids))
        return sum(sizes.values())

    @cached_property
    def folders(self) -> list[tuple[str, str]]:
        """Base and new run of each pair."""
        if self.are_all:
            return list(permutations(self.runs, 2))
        return [(self.base, run) for run in self.runs if self.base and run != self.base]

    def pair(self, base: str, new: str) -> RunPair:
        """Compare two runs; a pair is computed once."""
        if (base, new) not in self._done:
            self._done[base, new] = _compare(self.runs[base], self.runs[new], self.compared_metrics)
        return self._done[base, new]


def _compare(base: ComparedRun, new: ComparedRun, metrics: Sequence[str]) -> RunPair:
    rows: dict[str, Sequence[ComparedRow]] = {}
    problems: list[str] = []
    for metric in metrics:
        kept = [
            task
            for task, scores in base.tasks.items()
            if metric in scores.metrics and task in new.tasks and metric in new.tasks[task].metrics
        ]
        while kept:  # again without the tasks that turn out not to compare
            runs = _only(base, kept), _only(new, kept)
            compared = compare_runs(*runs, {metric: Tolerance(0.0)}, Rules(), _METHOD)
            problems += [problem.text for problem in compared.problems]
            if compared.rows:
                rows[metric] = compared.rows
                break
            at_fault = {problem.task for problem in compared.problems}
            kept = [task for task in kept if task not in at_fault] if at_fault & {*kept} else []
    if not rows and not problems:
        problems.append("the two runs have no task and metric in common")
    return RunPair(base.label, new.label, rows, tuple(dict.fromkeys(problems)))


def _only(run: ComparedRun, tasks: Sequence[str]) -> ComparedRun:
    return replace(run, tasks={task: run.tasks[task] for task in tasks})


def row_values(row: ComparedRow) -> list[Any]:
    """A row as the page's script reads it; the order is that of `FIELDS` in compare.js."""
    numbers = (row.base, row.new, row.change, row.low, row.high, row.p, row.p_adjusted, row.least)
    rounded = [None if number is None else round(number, 6) for number in numbers]
    return [row.task, row.n, *rounded, row.verdict]
