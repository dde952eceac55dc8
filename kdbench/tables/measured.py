"""Stored runs become groups of rows that may be compared."""

import hashlib
import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from kdbench.errors import InputError, nearest
from kdbench.metrics import compares_with_teacher
from kdbench.store.results import TaskResult
from kdbench.store.runs import StoredRun
from kdbench.tables.column import Column
from kdbench.tables.conditions import condition_notes
from kdbench.tables.cost import CostColumn
from kdbench.tables.model import Group, TableRow
from kdbench.tables.provenance import provenance
from kdbench.tables.teachers import teacher_folders, teachers_of
from kdbench.tables.unequal import with_differences, with_newer
from kdbench.text import counted

GroupKey: TypeAlias = tuple[str, str, int | None]
"""Setting, protocol and limit of a group."""


def measured_groups(
    runs: Sequence[StoredRun],
    columns: Sequence[Column],
    chosen: bool,
    order: Sequence[str] = (),
    start: str = "",
) -> list[Group]:
    """Group runs by setting, protocol and limit, if they also answer the same prompts.

    Args:
        runs: Runs to show; a run without any number is left out.
        columns: Columns to show.
        chosen: Whether the columns were chosen; if so, row notes explain empty cells.
        order: Labels of the rows to show, in order; empty for all rows, teachers first.
        start: Start of the groups' titles.

    Raises:
        InputError: a label in `order` that no row has.
    """
    groups: list[_GroupBuilder] = []
    teachers = teacher_folders(runs)
    tasks = {task for column in columns for task in column.tasks}
    for run in runs:
        if tasks and all(run.result(task) is None for task in tasks):
            continue  # even if it has a cost or a speed
        row = _row(run, columns, chosen, start, ranked=run.folder not in teachers)
        results = [result for column in columns for result in column.results(run) if result]
        if not any(row.cells) and all(result.value is None for result in results):
            continue
        record = run.record
        key = (record["setting"] or "", record["protocol"]["name"], record["limit"])
        basis = _basis(run, columns)
        group = next((group for group in groups if group.takes(key, basis)), None)
        if group is None:
            groups.append(group := _GroupBuilder(key))
        group.add(run, row, basis)
    groups = _with_teachers(groups)
    for group in groups:
        group.rows.sort(key=lambda row: (row.ranked, row.label))  # teachers first
        if not start:
            same_key = [g.rows for g in groups if g is not group and g.key == group.key]
            group.rows[:] = with_newer(with_differences(group.rows, columns), same_key)
    if order:
        groups = _ordered(groups, order, {run.label for run in runs}, is_part=bool(start))
    titles = [f"{start}{_title(group.key)}" for group in groups]
    return [
        Group(
            group.key[0] or "measured",
            # Equal titles do not show that the groups have different data or prompts.
            title if titles.count(title) == 1 else f"{title}, data {_digest(group.basis)}",
            tuple(_told_apart(group.rows)),
        )
        for group, title in zip(groups, titles, strict=True)
    ]


def _told_apart(rows: Sequence[TableRow]) -> list[TableRow]:
    """The rows; those with one label from several folders of results have their folder in it."""
    labels = [row.label for row in rows]
    places = [row.source.rpartition("/")[0].rpartition("/")[0] for row in rows]
    return [
        replace(row, label=f"{row.label} [{place}]")
        if place and labels.count(row.label) > 1
        else row
        for row, place in zip(rows, places, strict=True)
    ]


@dataclass
class _GroupBuilder:
    """A group to which rows can be added.

    Attributes:
        key: Setting, protocol and limit.
        basis: What must be equal for its rows to be compared, by task and metric.
        rows: Rows so far.
        models: SHA-256 of the checkpoints of its rows; None where unknown.
        teachers: SHA-256 of the teachers with which its rows were compared.
    """

    key: GroupKey
    basis: dict[str, str] = field(default_factory=dict)
    rows: list[TableRow] = field(default_factory=list)
    models: list[str | None] = field(default_factory=list)
    teachers: set[str] = field(default_factory=set)

    def add(self, run: StoredRun, row: TableRow, basis: Mapping[str, str]) -> None:
        """Add a row, and what it needs of other rows."""
        self.basis.update(basis)
        self.rows.append(row)
        self.models.append(run.record["model"].get("sha256"))
        self.teachers |= teachers_of(run)

    def is_taught_by(self, home: "_GroupBuilder", model: str | None) -> bool:
        """Whether a model of another group taught rows of this one and answered their prompts."""
        shared = self.basis.keys() & home.basis.keys()
        return (
            model in self.teachers - set(self.models)
            and self.key[1] == home.key[1]
            and any(self.basis[name] == home.basis[name] for name in shared)
            and all(self.basis[name] == home.basis[name] for name in shared)
        )

    def takes(self, key: GroupKey, basis: Mapping[str, str]) -> bool:
        """Whether a row of this key and basis can be compared with the rows of the group."""
        return self.key == key and all(
            self.basis.get(name, value) == value for name, value in basis.items()
        )


def _with_teachers(groups: Sequence[_GroupBuilder]) -> list[_GroupBuilder]:
    """Let each teacher join its students' groups, if it was measured under another label or limit.

    A group whose rows have all joined others is left out.
    """
    stays = []
    for home in groups:
        joined = set()
        for row, model in zip(list(home.rows), list(home.models), strict=True):
            for group in groups:
                if group is not home and group.is_taught_by(home, model):
                    group.rows.append(replace(row, ranked=False))
                    group.models.append(model)
                    joined.add(row.source)
        if {row.source for row in home.rows} - joined:
            stays.append(home)
    return stays


def _ordered(
    groups: Sequence[_GroupBuilder], order: Sequence[str], runs: Set[str], is_part: bool
) -> list[_GroupBuilder]:
    labels = {row.label for group in groups for row in group.rows}
    for label in order:
        # A category may be missing in a row, and a teacher has no number that compares with it.
        if label not in labels | runs and not is_part:
            raise InputError(f"rows={label}: {nearest(label, labels)}")
    for group in groups:
        shown = [row for row in group.rows if row.label in order]
        group.rows = sorted(shown, key=lambda row: order.index(row.label))
    return [group for group in groups if group.rows]


def _basis(run: StoredRun, columns: Sequence[Column]) -> dict[str, str]:
    """What must be equal in two rows: the prompts of a task, a metric's version, its teacher."""
    basis = {}
    several_metrics = len({column.metric for column in columns}) > 1
    for column in columns:
        for task, metric in zip(column.tasks, column.results(run), strict=True):
            result = run.result(task)
            if metric is None or result is None:
                continue
            values = [result.fingerprint, metric.version, *_teacher(result, column.metric)]
            if several_metrics:
                basis[task] = json.dumps(values[:1], sort_keys=True)
                basis[f"{task}:{column.metric}"] = json.dumps(values[1:])
            else:
                basis[task] = json.dumps(values, sort_keys=True)
    return basis


def _teacher(result: TaskResult, metric: str) -> list[str | None]:
    """The SHA-256 of a fidelity metric's teacher; empty for another metric."""
    if result.teacher is None or not compares_with_teacher(metric):
        return []
    return [result.teacher.get("sha256")]


def _title(key: GroupKey) -> str:
    setting, protocol, limit = key
    parts = [setting] if setting else []
    parts.append(f"protocol {protocol}")
    if limit:
        parts.append(f"first {counted(limit, 'prompt')} per task")
    return ", ".join(parts)


def _digest(basis: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(basis, sort_keys=True).encode()).hexdigest()[:8]


def _row(
    run: StoredRun, columns: Sequence[Column], chosen: bool, start: str, ranked: bool
) -> TableRow:
    is_part = bool(start)
    notes = [] if is_part else condition_notes(run, columns)
    if imported := run.record.get("imported"):
        notes.append(f"measured by {imported.get('from')}")
    if chosen:
        notes += _reasons(run, columns)
    if is_part:  # the notes of all groups are one list
        notes = [f"{start.removesuffix(', ')}: {note}" for note in notes]
    source = provenance(run)
    return TableRow(
        label=run.label,
        kind="measured",
        ranked=ranked,
        source=run.folder,
        cells=tuple(column.cell(run) for column in columns),
        note="; ".join(notes),
        day=source.created[:10],
        machine=source.machine,
        training_seeds=source.training_seeds,
        provenance=source,
        harness=str((run.record.get("imported") or {}).get("from") or "kdbench"),
    )


def _reasons(run: StoredRun, columns: Sequence[Column]) -> list[str]:
    """Why cells are empty, each reason once; a mean names the tasks that it lacks."""
    names: dict[str, list[str]] = {}
    for column in columns:
        lacking: dict[str, list[str]] = {}
        for task, result in zip(column.tasks, column.results(run), strict=True):
            if result and result.value is None and result.reason:
                lacking.setdefault(result.reason, []).append(task)
        for reason, tasks in lacking.items():
            of_tasks = f" of {', '.join(tasks)}" if len(tasks) < len(column.tasks) else ""
            names.setdefault(reason, []).append(f"{column.name}{of_tasks}")
        if missing := [task for task in column.tasks if run.result(task) is None]:
            reason = f"no result for {', '.join(missing)} (choose the tasks with tasks=)"
            names.setdefault(reason, []).append(column.name)
        if isinstance(column, CostColumn) and (unknown := column.reason(run)):
            names.setdefault(unknown, []).append(column.name)
    return [f"{', '.join(columns)}: {reason}" for reason, columns in names.items()]
