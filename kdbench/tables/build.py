"""Results and published numbers become a table."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, cast

from kdbench.config import TableSettings
from kdbench.errors import InputError
from kdbench.registry import nearest
from kdbench.statistics import average
from kdbench.store import MetricResult, RunFolder, TaskResult
from kdbench.tables.model import Cell, Group, TableRow
from kdbench.tables.published import published_groups
from kdbench.tables.table import Table
from kdbench.task import TITLES

Direction = Literal["higher", "lower", "none"]
_DECIMALS = {"points": 2, "tokens": 1, "rate": 3, "nats": 3}


def build_table(settings: TableSettings) -> Table:
    """The comparison table.

    Raises:
        InputError: unreadable results or baselines, an unknown group, or nothing to show.
    """
    measured, unit, direction = _measured_groups(settings)
    groups = measured
    if settings.published != "none":
        groups = groups + published_groups(
            settings.baselines, settings.tasks, settings.metric, settings.published
        )
    if settings.settings:
        groups = _select(groups, settings.settings)
    if not groups:
        raise InputError(
            f"results={settings.results}: no result with metric '{settings.metric}', and no "
            "published row asked for"
        )
    return Table(
        metric=settings.metric,
        unit=unit,
        columns=(*(TITLES.get(task, task) for task in settings.tasks), "AVG"),
        groups=tuple(_mark_best(group, direction) for group in groups),
        error=settings.error,
    )


def _measured_groups(settings: TableSettings) -> tuple[list[Group], str, Direction]:
    """Rows group by setting, protocol and limit, and only where they answer the same prompts."""
    groups: list[_Open] = []
    unit: str = "points"
    direction: Direction = "higher"
    for run, results in _runs(settings.results):
        parts = {
            task: metric
            for task in settings.tasks
            if task in results and (metric := results[task].metrics.get(settings.metric))
        }
        known = [part for part in parts.values() if part.value is not None]
        if not known:
            continue
        unit, direction = known[0].unit, cast(Direction, known[0].direction)
        key = (run["setting"] or "", run["protocol"]["name"], run["limit"])
        same = {
            task: json.dumps([results[task].fingerprint, part.version], sort_keys=True)
            for task, part in parts.items()
        }
        group = next((one for one in groups if one.takes(key, same)), None)
        if group is None:
            groups.append(group := _Open(key))
        group.same.update(same)
        group.rows.append(_measured_row(run, parts, settings.tasks))
    for one in groups:
        one.rows.sort(key=lambda row: (row.ranked, row.label))  # teachers first
    titles = [_title(one.key) for one in groups]
    return (
        [
            Group(
                one.key[0] or "measured",
                # What sets two groups of one title apart is not to be seen: other data or prompts.
                title if titles.count(title) == 1 else f"{title}, data {_digest(one.same)}",
                tuple(one.rows),
            )
            for one, title in zip(groups, titles, strict=True)
        ],
        unit,
        direction,
    )


@dataclass
class _Open:
    """A group that still takes rows; `same` is what a task's numbers rest on."""

    key: tuple[str, str, int | None]
    same: dict[str, str] = field(default_factory=dict)
    rows: list[TableRow] = field(default_factory=list)

    def takes(self, key: tuple[str, str, int | None], same: Mapping[str, str]) -> bool:
        return self.key == key and all(self.same.get(t, what) == what for t, what in same.items())


def _title(key: tuple[str, str, int | None]) -> str:
    setting, protocol, limit = key
    words = [setting] if setting else []
    words.append(f"protocol {protocol}")
    if limit:
        words.append(f"first {limit} prompts a task")
    return ", ".join(words)


def _digest(same: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()[:8]


def _runs(results: Path) -> Iterator[tuple[Mapping[str, Any], dict[str, TaskResult]]]:
    if not results.is_dir():
        return
    for file in sorted(results.glob("*/*/run.json")):
        folder = RunFolder(file.parent)
        run = {**folder.read_whole_run(), "folder": str(file.parent.relative_to(results))}
        yield run, {result.task: result for result in folder.tasks()}


def _measured_row(
    run: Mapping[str, Any], results: Mapping[str, MetricResult], tasks: Sequence[str]
) -> TableRow:
    model, method = run["model"]["name"], run["method"]
    parts = [results.get(task) for task in tasks]
    return TableRow(
        label=f"{method} ({model})" if method and method != model else model,
        kind="measured",
        ranked=(method or "").lower() != "teacher",
        source=str(run["folder"]),
        cells=(*map(_cell, parts), _average_cell(parts)),
        note="" if run["status"] == "complete" else f"run {run['status']}",
    )


def _cell(part: MetricResult | None) -> Cell | None:
    if part is None or part.value is None:
        return None
    decimals = _DECIMALS.get(part.unit, 2)
    return Cell(part.value, part.ci_low, part.ci_high, part.seed_sd, part.n, decimals)


def _average_cell(parts: Sequence[MetricResult | None]) -> Cell | None:
    mean = average([None if part is None else asdict(part) for part in parts])
    if mean is None or mean.value is None:
        return None
    unit = next(part.unit for part in parts if part is not None)
    return Cell(mean.value, mean.ci_low, mean.ci_high, mean.seed_sd, mean.n, _DECIMALS.get(unit, 2))


def _mark_best(group: Group, direction: Direction) -> Group:
    if direction == "none":
        return group
    rows = list(group.rows)
    sign = 1 if direction == "higher" else -1
    for column in range(len(rows[0].cells)):
        ranked = {
            index: round(sign * cell.value, cell.decimals)
            for index, row in enumerate(rows)
            if row.ranked and (cell := row.cells[column]) is not None
        }
        if len(ranked) < 2:
            continue
        top = max(ranked.values())
        for index in (index for index, value in ranked.items() if value == top):
            cells = list(rows[index].cells)
            cell = cells[column]
            cells[column] = None if cell is None else replace(cell, best=True)
            rows[index] = replace(rows[index], cells=tuple(cells))
    return replace(group, rows=tuple(rows))


def _select(groups: Sequence[Group], wanted: Sequence[str]) -> list[Group]:
    ids = {group.id for group in groups} | {"measured"}
    for word in wanted:
        if word not in ids:
            raise InputError(f"settings={word}: {nearest(word, ids)}")
    return [one for one in groups if one.id in wanted or ("measured" in wanted and one.measured)]
