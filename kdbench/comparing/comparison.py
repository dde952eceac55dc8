"""Comparing two runs."""

from collections.abc import Mapping
from dataclasses import replace

from kdbench.comparing.categories import by_category, check_categories
from kdbench.comparing.matching import applies, comparison_problems
from kdbench.comparing.model import Comparison, RowTestMethod
from kdbench.comparing.pairing import left_out, pair_scores
from kdbench.comparing.recipes import paired_recipes, pairing_notes
from kdbench.comparing.rows import RowTest, compared_rows, row_tests
from kdbench.comparing.scores import ComparedRun
from kdbench.comparing.tolerance import DEFAULT, Tolerance, full_names
from kdbench.comparing.verdict import EXIT_INCOMPARABLE, Problem, Rules
from kdbench.errors import InputError, nearest
from kdbench.metrics import judged_metric


def compare_runs(
    base: ComparedRun,
    new: ComparedRun,
    tolerances: Mapping[str, Tolerance],
    rules: Rules,
    method: RowTestMethod,
) -> Comparison:
    """Compare two runs on all tasks of the base.

    Args:
        base: Run to compare with.
        new: Run to judge.
        tolerances: Largest acceptable loss of each metric to compare.
        rules: When the gate fails.
        method: How the rows are tested.

    Raises:
        InputError: A metric is unknown to both runs or has no better direction, or the hierarchical
            bootstrap lacks samples.
    """
    known = known_metrics(base) | known_metrics(new)
    tolerances = full_names(tolerances, known)
    _check_metrics(tolerances, known)
    given = base, new
    base, new, scope = paired_recipes(base, new)
    problems = comparison_problems(base, new, tolerances, method.partial)
    tests: list[RowTest] = []
    notes = [*pairing_notes(*given, scope), *_tasks_left_out(base, new)]
    tasks = [task for task in base.tasks if task in new.tasks]
    if method.by and not problems:
        check_categories(tasks, base, new)
    for metric, tolerance in () if problems else tolerances.items():
        by_seed = method.interval == "hierarchical"
        pairs = {
            task: pair_scores(base, new, task, metric, by_seed)
            for task in tasks
            if applies(metric, base.tasks[task], new.tasks[task])
        }
        notes += left_out(base, new, pairs, metric)
        empty = [task for task, paired in pairs.items() if not paired.ids]
        problems += [
            Problem(
                EXIT_INCOMPARABLE,
                f"{task}: no prompt has {metric} in both runs; choose metrics with tolerance=",
                task,
            )
            for task in empty
        ]
        if not empty:
            kind = base.tasks[next(iter(pairs))].metrics[metric]
            tests += row_tests(metric, kind, pairs, tolerance, method.resamples)
            for category, pair in by_category(pairs, base, new) if method.by else ():
                rows = row_tests(metric, kind, pair, tolerance, method.resamples)
                tests += [replace(test, category=category) for test in rows]
    return Comparison(
        base=base.title,
        new=new.title,
        rows=() if problems else tuple(compared_rows(tests, method, rules)),
        problems=tuple(problems),
        notes=tuple(dict.fromkeys(notes)),
        rules=rules,
        method=method,
        tolerances=tolerances,
        scope=scope,
    )


def _tasks_left_out(base: ComparedRun, new: ComparedRun) -> list[str]:
    return [
        f"{task}: not compared, because {base.label} has no results for it"
        for task in new.tasks
        if task not in base.tasks
    ]


def known_metrics(run: ComparedRun) -> set[str]:
    """Return the names of the metrics that any task of a run has."""
    return {name for scores in run.tasks.values() for name in {*scores.metrics, *scores.pooled}}


def _check_metrics(tolerances: Mapping[str, Tolerance], known: set[str]) -> None:
    for metric in tolerances:
        if known and metric not in known and tolerances == DEFAULT:
            raise InputError(
                f"no task has {metric}, whose tolerance is the default: pass "
                f"tolerance=METRIC:AMOUNT; {nearest(metric, known)}"
            )
        if known and metric not in known and judged_metric(metric):
            raise InputError(f"tolerance={metric}:…: no run was judged; kdbench judge does it")
        if known and metric not in known:
            raise InputError(f"tolerance={metric}:…: no such metric: {nearest(metric, known)}")
