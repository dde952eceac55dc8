"""`kdbench regress model=… baseline=…`: measure a checkpoint, and compare it with a baseline."""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kdbench.comparing.baseline import baseline_file, origin, write_baseline
from kdbench.comparing.compare import chosen, compared, tolerances_of
from kdbench.comparing.find import find_side
from kdbench.comparing.matching import problems_of
from kdbench.comparing.model import Comparison
from kdbench.comparing.outputs.write import write_outputs, write_refusal
from kdbench.comparing.run import run
from kdbench.comparing.settings import RegressSettings
from kdbench.comparing.sides import Side, TaskScores, run_side
from kdbench.comparing.verdict import EXIT_INCOMPARABLE, Problem
from kdbench.config import EvalSettings, build
from kdbench.errors import InputError
from kdbench.protocol import PROTOCOLS


@dataclass(frozen=True)
class Gated:
    """What `regress` returns.

    Attributes:
        comparison: with the baseline; None where the baseline was written instead.
        written: the baseline's file; None where none was written.
    """

    comparison: Comparison | None
    written: Path | None = None


def run_regress(settings: RegressSettings) -> int:
    """The verb: prints, and returns the exit code.

    Raises:
        InputError: what the user can mend; it is also in the files that were asked for.
    """

    def make() -> Comparison | None:
        gated = regress(settings)
        if gated.comparison is None:
            sys.stdout.write(f"{gated.written}: written\n")
        return gated.comparison

    return run(make, lambda problem: _refused(settings, problem))


def regress(settings: RegressSettings) -> Gated:
    """Measure what is missing of the checkpoint, and compare it; or write the baseline.

    Raises:
        InputError: a baseline that is not there or rests on something else, a model, data or
            settings that the user can mend.
    """
    if settings.update:
        return _update(settings)
    try:
        base = find_base(settings)
        new = _new_side(settings, base)
        comparison = compared(settings, base, new)
    except InputError as error:
        _refused(settings, Problem(EXIT_INCOMPARABLE, str(error)))
        raise
    write_outputs(settings, comparison, base.label, (base, new))
    return Gated(comparison)


def _refused(settings: RegressSettings, problem: Problem) -> Comparison:
    new = str(settings.model or settings.run)
    name = Path(settings.baseline).stem
    return write_refusal(settings, settings.baseline, new, problem, name)


def _update(settings: RegressSettings) -> Gated:
    path = baseline_file(settings.baseline, settings.gates)
    side = _new_side(settings, None)
    write_baseline(path, side, tolerances_of(settings, None), origin(settings.reason or ""))
    return Gated(None, path)


def find_base(settings: RegressSettings) -> Side:
    """The baseline, with the tasks that were asked for; all where none were.

    Raises:
        InputError: no such baseline, or it lacks a task.
    """
    base = find_side(settings.baseline, "baseline", settings.results, settings.gates)
    if "tasks" not in settings.model_fields_set:
        return base
    return chosen(base, [Path(task).stem for task in settings.tasks])


def _new_side(settings: RegressSettings, base: Side | None) -> Side:
    """The run that is judged; it is measured first unless it is a stored one."""
    if settings.run is not None:
        return run_side(settings.run)
    from kdbench.evaluation import evaluate

    wanted = eval_settings(settings, base)
    if base is not None:
        _check_before(wanted, base, settings.allow_partial)
    evaluation = evaluate(wanted)
    side = run_side(evaluation.run)
    # These tasks are whole, whatever another call has left undone in the folder.
    tasks = {task: side.tasks[task] for task in evaluation.results}
    return replace(side, tasks=tasks, status="complete")


def eval_settings(settings: RegressSettings, base: Side | None) -> EvalSettings:
    """How the checkpoint is measured: as was asked for, in the rest like the baseline."""
    keys = set(EvalSettings.model_fields) & settings.model_fields_set
    given = {key: getattr(settings, key) for key in keys}
    values: dict[str, Any] = {} if base is None else _like(base, set(given))
    if metrics := _measurable(tolerances_of(settings, base)):
        values["metrics"] = metrics
    return build(EvalSettings, {**values, **given})


def _like(base: Side, given: set[str]) -> dict[str, Any]:
    """Tasks, limit and protocol of a side."""
    protocol = next(iter(base.tasks.values())).fingerprint["protocol"]
    name = str(protocol["name"]).partition("+")[0]
    if "protocol" in given:
        return {"tasks": tuple(base.tasks), "limit": base.limit}
    if name not in PROTOCOLS:
        raise InputError(
            f"{base.label}: rests on texts made elsewhere (protocol '{name}'); score the new "
            "ones with kdbench score, then give run=FOLDER"
        )
    plain = PROTOCOLS[name].as_dict()
    fields = {k: v for k, v in protocol.items() if k != "name" and plain.get(k) != v}
    return {"tasks": tuple(base.tasks), "limit": base.limit, "protocol": name, **fields}


def _measurable(tolerances: Iterable[str]) -> tuple[str, ...]:
    """The gated metrics that kdbench has; a YAML's own come with its task."""
    from kdbench.metrics import metrics

    return tuple(name for name in tolerances if name.partition("@")[0] in metrics.names())


def _check_before(wanted: EvalSettings, base: Side, partial: bool) -> None:
    """Whatever forbids the comparison is told before hours of generation.

    Raises:
        InputError: the field that differs.
    """
    from kdbench.measuring.measurement import prepare
    from kdbench.measuring.scoring import fingerprint

    measurement = prepare(wanted)
    tasks: Mapping[str, TaskScores] = {
        task.name: TaskScores(
            fingerprint(task, measurement.protocol), tuple(one.id for one in task.documents), {}
        )
        for task in measurement.tasks
    }
    new = Side(measurement.name, measurement.name, None, "complete", wanted.limit, tasks)
    for problem in problems_of(base, new, (), partial):
        raise InputError(problem.text)
