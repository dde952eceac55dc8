"""`kdbench compare BASE NEW`: compare two stored runs, or a gate's baseline and a run."""

from collections.abc import Sequence
from dataclasses import replace

from kdbench.comparing.comparison import compare_runs
from kdbench.comparing.evidence import with_evidence
from kdbench.comparing.find import find_run
from kdbench.comparing.measured_tasks import measured_tasks
from kdbench.comparing.model import Comparison, RowTestMethod
from kdbench.comparing.outputs.write import write_outputs, write_refusal
from kdbench.comparing.run import run_verb
from kdbench.comparing.scores import ComparedRun
from kdbench.comparing.settings import CompareSettings, GateSettings
from kdbench.comparing.tolerance import DEFAULT, Tolerance, parse_tolerances
from kdbench.comparing.verdict import EXIT_INCOMPARABLE, Problem
from kdbench.errors import InputError, nearest


def run_compare(settings: CompareSettings) -> int:
    """Compare two runs, print the result and return the exit code.

    Args:
        settings: Keys of the verb.

    Raises:
        InputError: The user can fix it; the requested output files also report it.
    """
    return run_verb(
        lambda: compare(settings), lambda problem: _refuse(settings, problem), settings.outputs
    )


def compare(settings: CompareSettings) -> Comparison:
    """Compare two stored runs, and write the requested output files.

    Args:
        settings: Keys of the verb.

    Raises:
        InputError: A run does not exist, or a metric cannot be gated.
    """
    try:
        base, new, notes = compared_runs(settings)
        comparison = with_evidence(
            compare_with_settings(settings, base, new), base, new, settings.data
        )
    except InputError as error:
        _refuse(settings, Problem(EXIT_INCOMPARABLE, str(error)))
        raise
    comparison = replace(comparison, notes=(*notes, *comparison.notes))
    write_outputs(settings, comparison, base.label)
    return comparison


def compared_runs(settings: CompareSettings) -> tuple[ComparedRun, ComparedRun, tuple[str, ...]]:
    """The two runs with the tasks to compare, and a note on tasks that are left out.

    With `tasks=`, and against a gate's baseline, no task is left out.

    Args:
        settings: Keys of the verb.

    Raises:
        InputError: A run or a task does not exist.
    """
    base, new = (
        select_tasks(
            find_run(name, key, settings.results, settings.gates, settings.tasks), settings.tasks
        )
        for key, name in (("base", settings.base), ("new", settings.new))
    )
    if settings.tasks or base.tolerance is not None:
        return base, new, ()
    return measured_tasks(base, new, gate_tolerances(settings, base))


def _refuse(settings: CompareSettings, problem: Problem) -> Comparison:
    return write_refusal(settings, settings.base, settings.new, problem, settings.base)


def compare_with_settings(
    settings: GateSettings, base: ComparedRun, new: ComparedRun
) -> Comparison:
    """Compare two runs as the settings of a gate ask."""
    method = RowTestMethod(
        settings.interval, settings.resamples, settings.allow_partial, settings.by
    )
    return compare_runs(base, new, gate_tolerances(settings, base), settings.rules, method)


def gate_tolerances(settings: GateSettings, base: ComparedRun | None) -> dict[str, Tolerance]:
    """The tolerances of the settings, else of the baseline, else the default."""
    text = settings.tolerance or (base and base.tolerance)
    return parse_tolerances(text) if text else dict(DEFAULT)


def select_tasks(run: ComparedRun, tasks: Sequence[str]) -> ComparedRun:
    """A run with only the named tasks.

    Args:
        run: Run with all its tasks.
        tasks: Names of the tasks to keep; all if empty.

    Raises:
        InputError: The run does not have a task.
    """
    for task in tasks:
        if task not in run.tasks:
            raise InputError(
                f"tasks={task}: {run.label} has no such task: {nearest(task, run.tasks)}"
            )
    return replace(run, tasks={task: run.tasks[task] for task in tasks}) if tasks else run
