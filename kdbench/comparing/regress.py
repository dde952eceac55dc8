"""`kdbench regress model=… baseline=…`: measure a checkpoint, and compare it with a baseline."""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kdbench.comparing.baseline import baseline_path, origin_now, write_baseline
from kdbench.comparing.compare import compare_with_settings, gate_tolerances, select_tasks
from kdbench.comparing.comparison import known_metrics
from kdbench.comparing.evidence import with_evidence
from kdbench.comparing.find import find_run
from kdbench.comparing.matching import comparison_problems
from kdbench.comparing.model import Comparison
from kdbench.comparing.outputs.write import write_outputs, write_refusal
from kdbench.comparing.plan import GatePlan, plan_of_baseline
from kdbench.comparing.run import run_verb
from kdbench.comparing.scores import ComparedRun, TaskScores, read_run
from kdbench.comparing.settings import RegressSettings
from kdbench.comparing.tolerance import full_names
from kdbench.comparing.verdict import EXIT_INCOMPARABLE, Problem
from kdbench.config import EvalSettings, build
from kdbench.errors import InputError
from kdbench.protocol import PROTOCOLS
from kdbench.store.runs import one_run
from kdbench.system.outputs import is_standard_output
from kdbench.task import check_installed, result_names
from kdbench.text import printable

_DEFAULTS_OF_BASELINE = ("tasks", "protocol", "metrics")
"""Keys whose empty value means the baseline's, or that of `kdbench eval` with --update."""


@dataclass(frozen=True)
class GateResult:
    """The result of `regress`.

    Attributes:
        comparison: Comparison with the baseline; None if the baseline was written instead.
        written: File of the baseline that was written; None if none was.
        plan: What a gate with this baseline sees, and what it needs; None if no baseline was
            written, or if its samples cannot show it.
        notes: What to know about the baseline that was written.
    """

    comparison: Comparison | None
    written: Path | None = None
    plan: GatePlan | None = None
    notes: tuple[str, ...] = ()

    def _repr_html_(self) -> str | None:
        return None if self.comparison is None else self.comparison._repr_html_()


def run_regress(settings: RegressSettings) -> int:
    """Gate a checkpoint, print the result and return the exit code.

    Args:
        settings: Keys of the verb.

    Raises:
        InputError: The user can fix it; the requested output files also report it.
    """

    def compare() -> Comparison | None:
        result = regress(settings)
        if result.written is not None:
            _print_baseline(result, result.written)
        return result.comparison

    return run_verb(compare, lambda problem: _refuse(settings, problem), settings.outputs)


def _print_baseline(result: GateResult, written: Path) -> None:
    """Say that the baseline was written, and what a gate with it can see."""
    stream = sys.stderr if is_standard_output(written) else sys.stdout
    stream.write(printable(f"{written}: written") + "\n")
    if result.plan is not None:
        stream.write(f"\n{result.plan}\n")
    for note in result.notes:
        stream.write(printable(note) + "\n")


def regress(settings: RegressSettings) -> GateResult:
    """Measure a checkpoint and compare it with the baseline, or write the baseline.

    Results that are already stored are not measured again.

    Args:
        settings: Keys of the verb.

    Raises:
        InputError: The baseline does not exist or is not comparable, or the user can fix the model,
            the data or a setting.
    """
    if settings.update:
        return _update(settings)
    try:
        base = find_baseline(settings)
        new = _new_run(settings, base)
        comparison = with_evidence(
            compare_with_settings(settings, base, new), base, new, settings.data, settings.tasks
        )
    except InputError as error:
        _refuse(settings, Problem(EXIT_INCOMPARABLE, str(error)))
        raise
    write_outputs(settings, comparison, base.label)
    return GateResult(comparison)


def _refuse(settings: RegressSettings, problem: Problem) -> Comparison:
    new = str(settings.model or settings.run)
    name = Path(settings.baseline).stem
    return write_refusal(settings, settings.baseline, new, problem, name)


def _update(settings: RegressSettings) -> GateResult:
    path = baseline_path(settings.baseline, settings.gates)
    names = [name for task in settings.tasks for name in result_names(task)]
    run = _new_run(settings, None)
    run = run if settings.run is None else select_tasks(run, names)
    origin = origin_now(settings.reason or "")
    tolerances = full_names(gate_tolerances(settings, None), known_metrics(run))
    kept = write_baseline(path, run, tolerances, origin, settings.texts)
    notes = [_texts_note(kept, settings.texts)]
    try:
        plan = plan_of_baseline(run, tolerances, settings.alpha)
    except InputError as error:
        return GateResult(None, path, notes=(*notes, f"what the gate can see is unknown: {error}"))
    return GateResult(None, path, plan, (*notes, _plan_note(plan)))


def _texts_note(kept: int, wanted: int) -> str:
    if kept:
        return f"texts of {kept} prompts are in the baseline; texts=0 keeps none"
    return "no texts are in the baseline" + (": the run has no samples" if wanted else "")


def _plan_note(plan: GatePlan) -> str:
    """Whether the gate sees the losses that it allows."""
    blind = plan.blind_rows()
    if not blind:
        return "the gate sees the losses that it allows"
    row = max(blind, key=lambda row: row.sees[min(row.sees)] / (row.tolerance or 1e-9))
    seeds = min(row.sees)
    needed = row.prompts[seeds]
    needs = f"needs {needed} prompts" if needed else "needs a tolerance above 0"
    return (
        f"expect NOT DECIDED: {len(blind)} of {len(plan.rows)} rows cannot see the loss that they "
        f"allow, least of all: {row.task} {row.metric} sees a loss of "
        f"{row.sees[seeds]:.{row.decimals}f} with {row.there} prompts, allows "
        f"{row.tolerance:.{row.decimals}f}, {needs}"
    )


def find_baseline(settings: RegressSettings) -> ComparedRun:
    """The baseline with the requested tasks; with all tasks if none was requested.

    Args:
        settings: Keys of the verb.

    Raises:
        InputError: There is no such baseline, or it does not have a task.
    """
    base = find_run(settings.baseline, "baseline", settings.results, settings.gates)
    return select_tasks(base, [name for task in settings.tasks for name in result_names(task)])


def _new_run(settings: RegressSettings, base: ComparedRun | None) -> ComparedRun:
    """The run to judge: a stored one, or the checkpoint's, which is measured first."""
    if settings.run is not None:
        return read_run(one_run(settings.run, "run", settings.results))
    from kdbench.evaluation import evaluate

    wanted = eval_settings(settings, base)
    if base is not None:
        check_comparable(wanted, base, settings.allow_partial)
    evaluation = evaluate(wanted)
    run = read_run(evaluation.run)
    # These tasks are complete, even if another command left other tasks of the folder unfinished.
    tasks = {task: run.tasks[task] for task in evaluation.results}
    return replace(run, tasks=tasks, status="complete")


def eval_settings(settings: RegressSettings, base: ComparedRun | None) -> EvalSettings:
    """How the checkpoint is measured: as requested, and otherwise like the baseline.

    Args:
        settings: Keys of the verb.
        base: Baseline to compare with; None while a baseline is being written.
    """
    given = {
        key: getattr(settings, key)
        for key in set(EvalSettings.model_fields) & settings.model_fields_set
        if getattr(settings, key) or key not in _DEFAULTS_OF_BASELINE
    }
    defaults = {} if base is None else _defaults_of(base, "protocol" in given, "tasks" in given)
    if metrics := _measurable(gate_tolerances(settings, base)):
        defaults["metrics"] = metrics
    return build(EvalSettings, {**defaults, **given})


def _defaults_of(base: ComparedRun, protocol_given: bool, tasks_given: bool) -> dict[str, Any]:
    """The tasks, limit and protocol of a baseline; no protocol if a different one was requested."""
    defaults: dict[str, Any] = {"limit": base.limit}
    if not tasks_given:
        check_installed(tuple(base.tasks), f"baseline={base.label}", "tasks=PATH")
        defaults["tasks"] = tuple(base.tasks)
    if protocol_given:
        return defaults
    protocol = next(iter(base.tasks.values())).fingerprint["protocol"]
    name = str(protocol["name"]).partition("+")[0]
    if name not in PROTOCOLS:
        raise InputError(
            f"{base.label}: its texts were generated outside kdbench (protocol '{name}'); score "
            "the new texts with kdbench score, then give run=FOLDER"
        )
    named = PROTOCOLS[name].as_dict()
    overrides = {k: v for k, v in protocol.items() if k != "name" and named.get(k) != v}
    return {**defaults, "protocol": name, **overrides}


def _measurable(metrics_gated: Iterable[str]) -> tuple[str, ...]:
    """The gated metrics that kdbench computes; those of a task's YAML file come with the task."""
    from kdbench.metrics import is_known

    return tuple(name for name in metrics_gated if is_known(name))


def check_comparable(wanted: EvalSettings, base: ComparedRun, partial: bool) -> None:
    """Report whatever prevents the comparison before hours of generation.

    Raises:
        InputError: A field differs; the message names it.
    """
    from kdbench.measuring.early import check_early
    from kdbench.measuring.measurement import prepare
    from kdbench.measuring.scoring import fingerprint

    check_early(wanted)
    measurement = prepare(wanted)
    tasks: Mapping[str, TaskScores] = {
        task.name: TaskScores(
            fingerprint(task, measurement.protocol),
            tuple(document.id for document in task.documents),
            {},
        )
        for task in measurement.tasks
    }
    new = ComparedRun(measurement.name, measurement.name, None, "complete", wanted.limit, tasks)
    for problem in comparison_problems(base, new, (), partial):
        raise InputError(problem.text)
