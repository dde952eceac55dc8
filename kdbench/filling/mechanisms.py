"""Whether the idea of each method moved what it should: rows compared with others, seed by seed.

All numbers are read from results. A difference is that of two rows' trainings with the same seed;
its interval is Student's, over the seeds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kdbench.config import TableSettings, build
from kdbench.errors import InputError, nearest
from kdbench.fidelity.wanted import wanted_metrics
from kdbench.filling.rows import SpecRow, labels_of
from kdbench.filling.spec import TableSpec
from kdbench.filling.tasks import extra_names, shown_tasks
from kdbench.methods import FAMILIES, Mechanism
from kdbench.metrics import base_of, make_metrics
from kdbench.store.recipes import recipe_of
from kdbench.store.runs import StoredRun
from kdbench.tables.column import Column
from kdbench.tables.columns import chosen_columns
from kdbench.tables.cost import COSTS
from kdbench.tables.logged import LOGGED, log_column
from kdbench.task import TITLES

MechanismVerdict = Literal[
    "moved as predicted", "did not move", "moved against", "not measured", "no mechanism"
]
LEVEL = 0.05


@dataclass(frozen=True)
class MechanismRow:
    """A row of the table of mechanisms.

    Attributes:
        label: Label of the row.
        family: Family of its method.
        against: Label of the row that it is compared with.
        mechanism: What should move; None if the method names nothing.
        verdict: Whether it moved.
        seeds: Training seeds that both rows have numbers for.
        value: Mean of the measure over these seeds; None if nothing was measured.
        other: The same of the other row.
        difference: Mean of the differences, value minus other.
        low: Lower end of its 95 % interval.
        high: Upper end.
        decimals: Decimals of the measure in tables.
        reason: Why it was not measured; empty if it was.
        values: The measure by training seed.
        others: The same of the other row.
    """

    label: str
    family: str
    against: str
    mechanism: Mechanism | None
    verdict: MechanismVerdict
    seeds: tuple[int, ...] = ()
    value: float | None = None
    other: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    decimals: int = 3
    reason: str = ""
    values: tuple[float, ...] = ()
    others: tuple[float, ...] = ()


def check_mechanisms(spec: TableSpec, rows: Sequence[SpecRow], file: Path) -> None:
    """Check what rows are compared with, and that the measures of their methods are evaluated.

    Raises:
        InputError: `against` names no other row or is missing, or a measure would not be there.
    """
    for row in rows:
        if row.entry.against is None and row.entry.mechanism is not None:
            raise InputError(
                f"{file}: row '{row.label or row.entry.checkpoint}': mechanism: compares it with "
                "another row; add against: with its label"
            )
        if row.entry.against is not None and (fault := _fault(row, row.entry.against, spec, rows)):
            raise InputError(f"{file}: row '{row.label}': {fault}")


def _fault(row: SpecRow, against: str, spec: TableSpec, rows: Sequence[SpecRow]) -> str:
    """What is wrong with a row that is compared with another one; empty if nothing is."""
    if row.method is None:
        return "against: only a trained row has a mechanism to compare"
    others = [label for label in labels_of(rows) if label != row.label]
    if against not in others:
        return f"against: no other row '{against}': {nearest(against, others)}"
    mechanism = _mechanism(row)
    if mechanism is None or not (fault := _not_evaluated(mechanism.measure, spec)):
        return ""
    return f"its mechanism is measured by '{mechanism.measure}': {fault}"


def _not_evaluated(measure: str, spec: TableSpec) -> str:
    """Why no row would have a measure; empty if they will."""
    known_tasks = set(spec.tasks) <= set(TITLES)  # other tasks can have metrics of their own
    if measure in COSTS or measure.startswith(LOGGED) or not known_tasks:
        return ""
    try:
        column = measure_column(measure, spec, ())
    except InputError as error:
        return str(error)
    tasks = (*spec.tasks, *extra_names(spec))
    if missing := [task for task in column.tasks if task not in tasks]:
        return f"add {missing[0]} to tasks:"
    names = spec.evaluate["metrics"]
    measured = {*(metric.name for metric in make_metrics(names)), *wanted_metrics(names).names}
    if measured & {column.metric, base_of(column.metric)}:
        return ""
    return f"add {column.metric} to the metrics of evaluate:"


def measure_column(measure: str, spec: TableSpec, runs: Sequence[StoredRun]) -> Column:
    """The column of a measure.

    Args:
        measure: As for `columns=` of `kdbench table`.
        spec: Specification of the table.
        runs: Runs of the table.

    Raises:
        InputError: It is neither a metric nor a task.
    """
    if measure.startswith(LOGGED):  # whether or not a run has logged it
        return log_column(measure)
    task = measure.partition(":")[0]
    tasks = [task] if task in extra_names(spec) else shown_tasks(spec, runs) or list(spec.tasks)
    settings = build(TableSettings, {"tasks": tasks, "columns": [measure]})
    return chosen_columns(settings, runs)[0]


def compared_rows(
    spec: TableSpec, rows: Sequence[SpecRow], runs: Sequence[StoredRun]
) -> list[MechanismRow]:
    """Compare the rows that name another one, in the order of the table.

    Args:
        spec: Specification of the table.
        rows: Its rows.
        runs: Its runs, each of one training.
    """
    by_label: dict[str, list[StoredRun]] = {}
    for run in runs:
        by_label.setdefault(run.label if run.method is None else run.method, []).append(run)
    return [_compared(spec, row, by_label) for row in rows if row.entry.against is not None]


def current_runs(runs: Sequence[StoredRun], setting: str) -> list[StoredRun]:
    """The runs of a setting; of each label those of the recipe that was measured last.

    Results may hold earlier runs of a row that has changed since.

    Args:
        runs: Runs, each of one training.
        setting: The setting of the table's rows.
    """
    newest: dict[str | None, StoredRun] = {}
    own = [run for run in runs if run.record["setting"] == setting]
    for run in sorted(own, key=_age):
        newest[run.method] = run
    shared = {method: recipe_of(run) for method, run in newest.items()}
    of_seed = {
        (run.method, run.training_seed): run
        for run in sorted(own, key=_age)
        if run is newest[run.method] or recipe_of(run) == shared[run.method] is not None
    }
    return list(of_seed.values())


def _age(run: StoredRun) -> tuple[str, str]:
    return str(run.record.get("created") or ""), run.folder


def _compared(
    spec: TableSpec, row: SpecRow, by_label: Mapping[str, Sequence[StoredRun]]
) -> MechanismRow:
    assert row.method is not None  # noqa: S101 - check_mechanisms has refused it
    label, against, mechanism = row.label or "", row.entry.against or "", _mechanism(row)
    family = FAMILIES[row.method.family]
    if mechanism is None:
        return MechanismRow(label, family, against, None, "no mechanism")
    runs = [run for of_label in by_label.values() for run in of_label]
    try:
        column = measure_column(mechanism.measure, spec, runs)
    except InputError as error:  # a task or metric that no run has
        return MechanismRow(label, family, against, mechanism, "not measured", reason=str(error))
    own, other = (_by_seed(column, by_label.get(name, ())) for name in (label, against))
    if mechanism.chance is not None:
        against, other = "chance", dict.fromkeys(own, mechanism.chance)
    seeds = tuple(sorted(own.keys() & other.keys()))
    if len(seeds) < 2:
        reason = _why_not(mechanism.measure, {label: own, against: other})
        return MechanismRow(label, family, against, mechanism, "not measured", reason=reason)
    import numpy as np

    from kdbench.stats.mean import moments

    values, others = (np.array([by_seed[s] for s in seeds]) for by_seed in (own, other))
    found = moments(values - others)
    low, high = found.students(LEVEL)
    return MechanismRow(
        label,
        family,
        against,
        mechanism,
        _verdict(low, high, mechanism),
        seeds,
        float(values.mean()),
        float(others.mean()),
        found.mean,
        low,
        high,
        _decimals(column, by_label[label]),
        values=tuple(map(float, values)),
        others=tuple(map(float, others)),
    )


def _mechanism(row: SpecRow) -> Mechanism | None:
    """What a row should move: what its file says, or else its method's."""
    return row.entry.mechanism or (None if row.method is None else row.method.mechanism)


def _by_seed(column: Column, runs: Sequence[StoredRun]) -> dict[int, float]:
    """A measure by training seed, of the runs that have it."""
    cells = {run.training_seed: column.cell(run) for run in runs}
    return {seed: cell.value for seed, cell in cells.items() if seed is not None and cell}


def _decimals(column: Column, runs: Sequence[StoredRun]) -> int:
    return next(cell.decimals for run in runs if (cell := column.cell(run)) is not None)


def _why_not(measure: str, by_label: Mapping[str, Mapping[int, float]]) -> str:
    for label, by_seed in by_label.items():
        if not by_seed:
            return f"{label} has no {measure}"
    return "the two rows share fewer than two training seeds"


def _verdict(low: float, high: float, mechanism: Mechanism) -> MechanismVerdict:
    if low <= 0 <= high:
        return "did not move"
    moved = "up" if low > 0 else "down"
    return "moved as predicted" if moved == mechanism.direction else "moved against"
