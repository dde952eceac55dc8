"""Stored runs become groups of rows that may be compared."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from kdbench.errors import InputError, nearest
from kdbench.stats.estimates import average
from kdbench.store.results import MetricResult, TaskResult
from kdbench.store.runs import StoredRun
from kdbench.tables.column import Column
from kdbench.tables.cost import CostColumn
from kdbench.tables.model import Cell, Group, TableRow
from kdbench.text import DECIMALS


def measured_groups(
    runs: Sequence[StoredRun],
    columns: Sequence[Column],
    chosen: bool,
    order: Sequence[str] = (),
) -> list[Group]:
    """Rows group by setting, protocol and limit, and only where they answer the same prompts.

    Args:
        runs: to show; those without a number are left out.
        columns: what to show.
        chosen: whether the columns were named; then notes say why a cell is empty.
        order: labels of the rows to show, in order; none means all, teachers first.

    Raises:
        InputError: a label that no row has.
    """
    groups: list[_Open] = []
    for run in runs:
        row = _row(run, columns, chosen)
        numbers = (part for column in columns for part in column.parts(run) if part)
        if not any(row.cells) and all(part.value is None for part in numbers):
            continue
        record = run.record
        key = (record["setting"] or "", record["protocol"]["name"], record["limit"])
        same = _rests_on(run, columns)
        group = next((one for one in groups if one.takes(key, same)), None)
        if group is None:
            groups.append(group := _Open(key))
        group.same.update(same)
        group.rows.append(row)
    for one in groups:
        one.rows.sort(key=lambda row: (row.ranked, row.label))  # teachers first
    if order:
        groups = _ordered(groups, order)
    titles = [_title(one.key) for one in groups]
    return [
        Group(
            one.key[0] or "measured",
            # What sets two groups of one title apart is not to be seen: other data or prompts.
            title if titles.count(title) == 1 else f"{title}, data {_digest(one.same)}",
            tuple(one.rows),
        )
        for one, title in zip(groups, titles, strict=True)
    ]


def _ordered(groups: Sequence["_Open"], order: Sequence[str]) -> list["_Open"]:
    labels = {row.label for one in groups for row in one.rows}
    for label in order:
        if label not in labels:
            raise InputError(f"rows={label}: {nearest(label, labels)}")
    for one in groups:
        kept = [row for row in one.rows if row.label in order]
        one.rows = sorted(kept, key=lambda row: order.index(row.label))
    return [one for one in groups if one.rows]


@dataclass
class _Open:
    """A group that still takes rows; `same` is what a number rests on, by task and metric."""

    key: tuple[str, str, int | None]
    same: dict[str, str] = field(default_factory=dict)
    rows: list[TableRow] = field(default_factory=list)

    def takes(self, key: tuple[str, str, int | None], same: Mapping[str, str]) -> bool:
        return self.key == key and all(self.same.get(t, what) == what for t, what in same.items())


def _rests_on(run: StoredRun, columns: Sequence[Column]) -> dict[str, str]:
    """What must be equal in two rows: of a task's metric the prompts, the version, the teacher."""
    same = {}
    several = len({column.metric for column in columns}) > 1
    for column in columns:
        for task, part in zip(column.tasks, column.parts(run), strict=True):
            if part is None:
                continue
            result = run.results[task]
            parts = [result.fingerprint, part.version, *_teacher(result, column.metric)]
            same[task] = json.dumps(parts[:1] if several else parts, sort_keys=True)
            if several:
                same[f"{task}:{column.metric}"] = json.dumps(parts[1:])
    return same


def _teacher(result: TaskResult, metric: str) -> list[str | None]:
    """Whom a metric of fidelity compares with; nothing for another metric."""
    if result.teacher is None:
        return []
    from kdbench.metrics import compares_with_teacher

    return [result.teacher.get("sha256")] if compares_with_teacher(metric) else []


def _title(key: tuple[str, str, int | None]) -> str:
    setting, protocol, limit = key
    words = [setting] if setting else []
    words.append(f"protocol {protocol}")
    if limit:
        words.append(f"first {limit} prompts a task")
    return ", ".join(words)


def _digest(same: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()[:8]


def _row(run: StoredRun, columns: Sequence[Column], chosen: bool) -> TableRow:
    status = run.record["status"]
    notes = [] if status == "complete" else [f"run {status}"]
    if chosen:
        notes += _reasons(run, columns)
    called = (run.method or "").lower() == "teacher"
    return TableRow(
        label=run.label,
        kind="measured",
        # Chosen columns can be of fidelity, and nobody is more faithful than the teacher itself.
        ranked=not (called or (chosen and run.is_own_teacher)),
        source=run.folder,
        cells=tuple(
            column.cell(run) if isinstance(column, CostColumn) else _cell(column, column.parts(run))
            for column in columns
        ),
        note="; ".join(notes),
        day=str(run.record.get("created") or "")[:10],
        machine=_machine(run.record.get("environment") or {}),
    )


def _machine(environment: Mapping[str, Any]) -> str:
    gpus = environment.get("gpus")
    return ", ".join(dict.fromkeys(gpus)) if gpus else "CPU" if gpus == [] else ""


def _reasons(run: StoredRun, columns: Sequence[Column]) -> list[str]:
    """Why cells are empty, each once."""
    found: dict[str, list[str]] = {}
    for column in columns:
        reasons = [p.reason for p in column.parts(run) if p and p.value is None and p.reason]
        for reason in dict.fromkeys(reasons):
            found.setdefault(reason, []).append(column.name)
        if missing := [task for task in column.tasks if task not in run.results]:
            reason = f"no result of {', '.join(missing)} (choose others with tasks=)"
            found.setdefault(reason, []).append(column.name)
    return [f"{', '.join(names)}: {reason}" for reason, names in found.items()]


def _cell(column: Column, parts: Sequence[MetricResult | None]) -> Cell | None:
    if not column.mean:
        return _single_cell(parts[0])
    mean = average([None if part is None else asdict(part) for part in parts])
    if mean is None or mean.value is None:
        return None
    known = [part for part in parts if part is not None]
    decimals = DECIMALS.get(known[0].unit, 2)
    bound = next((part.bound for part in known if part.bound), None)
    return Cell(mean.value, mean.ci_low, mean.ci_high, mean.seed_sd, mean.n, decimals, bound=bound)


def _single_cell(part: MetricResult | None) -> Cell | None:
    if part is None or part.value is None:
        return None
    decimals = DECIMALS.get(part.unit, 2)
    return Cell(
        part.value, part.ci_low, part.ci_high, part.seed_sd, part.n, decimals, bound=part.bound
    )
