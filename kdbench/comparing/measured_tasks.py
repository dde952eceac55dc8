"""The tasks that two stored runs are compared on where none are named: those with a metric."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from kdbench.comparing.comparison import known_metrics
from kdbench.comparing.scores import ComparedRun
from kdbench.comparing.tolerance import Tolerance, full_names


def measured_tasks(
    base: ComparedRun, new: ComparedRun, tolerances: Mapping[str, Tolerance]
) -> tuple[ComparedRun, ComparedRun, tuple[str, ...]]:
    """Both runs without the tasks on which no run has a metric by prompt, and a note on these.

    A task on which only one of the runs has one stays, and so does every task if the others lack a
    metric: then the comparison says what is wrong.

    Args:
        base: Run to compare with.
        new: Run to judge.
        tolerances: Metrics to compare, with their tolerances.
    """
    runs = (base, new)
    wanted = full_names(tolerances, known_metrics(base) | known_metrics(new))
    found = {task: {*_metrics(base, task), *_metrics(new, task)} & {*wanted} for task in base.tasks}
    gone = [task for task, metrics in found.items() if not metrics]
    if not gone or set().union(*found.values()) != {*wanted}:
        return base, new, ()
    base, new = (
        replace(run, tasks={t: of for t, of in run.tasks.items() if t not in gone}) for run in runs
    )
    note = (
        f"{', '.join(gone)}: not compared, because neither run has {' or '.join(wanted)} by prompt"
    )
    return base, new, (note,)


def _metrics(run: ComparedRun, task: str) -> Iterator[str]:
    """The metrics that a run, or a training of a recipe, has by prompt."""
    for one in (run, *run.trainings):
        if task in one.tasks:
            yield from one.tasks[task].metrics
