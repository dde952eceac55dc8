"""Two sides become a comparison."""

from collections.abc import Mapping

from kdbench.comparing.matching import problems_of
from kdbench.comparing.model import Comparison, Method
from kdbench.comparing.pairing import left_out, pair
from kdbench.comparing.rows import Measured, judged_rows, measured_rows
from kdbench.comparing.sides import Side
from kdbench.comparing.tolerance import Tolerance
from kdbench.comparing.verdict import EXIT_INCOMPARABLE, Problem, Rules
from kdbench.errors import InputError, nearest


def compare_sides(
    base: Side,
    new: Side,
    tolerances: Mapping[str, Tolerance],
    rules: Rules,
    method: Method,
) -> Comparison:
    """Compare two sides on all their tasks.

    Raises:
        InputError: a metric that neither has, or without a better direction; samples that the
            hierarchical bootstrap lacks.
    """
    _check_known(tolerances, base, new)
    problems = problems_of(base, new, tolerances, method.partial)
    measured: list[Measured] = []
    extra = [task for task in new.tasks if task not in base.tasks]
    notes = {f"{task}: not in {base.label}, so it is not compared": None for task in extra}
    tasks = [task for task in base.tasks if task in new.tasks]
    for metric, tolerance in () if problems else tolerances.items():
        by_seed = method.interval == "hierarchical"
        pairs = {task: pair(base, new, task, metric, by_seed) for task in tasks}
        notes |= dict.fromkeys(
            f"{task}: {text}" for task, text in left_out(base, new, pairs, metric)
        )
        empty = [task for task, one in pairs.items() if not one.ids]
        problems += [
            Problem(EXIT_INCOMPARABLE, f"{task}: no prompt has {metric} on both sides", task)
            for task in empty
        ]
        if not empty:
            kind = base.tasks[tasks[0]].metrics[metric]
            measured += measured_rows(metric, kind, pairs, tolerance, method, rules.alpha)
    return Comparison(
        base=base.title,
        new=new.title,
        rows=() if problems else tuple(judged_rows(measured, rules)),
        problems=tuple(problems),
        notes=tuple(notes),
        rules=rules,
        method=method,
        tolerances=tolerances,
    )


def _check_known(tolerances: Mapping[str, Tolerance], base: Side, new: Side) -> None:
    known = {
        name
        for side in (base, new)
        for task in side.tasks.values()
        for name in {*task.metrics, *task.pooled}
    }
    for metric in tolerances:
        if known and metric not in known:
            raise InputError(f"tolerance={metric}:…: no such metric: {nearest(metric, known)}")
