"""The tables of the leaderboard: one for each metric, and one of all metrics."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from kdbench.config import TableSettings
from kdbench.site.source import SiteSource
from kdbench.store.results import MetricResult
from kdbench.store.runs import StoredRun
from kdbench.tables import Table, build_table
from kdbench.tables.cost import COSTS
from kdbench.tables.serving import SERVING
from kdbench.tables.sorting import ordered_groups

_SIZES = ("parameters", "disk")


@dataclass(frozen=True)
class Board:
    """A table of the leaderboard.

    Attributes:
        id: Name in the address: that of the metric, or `overview`.
        title: Heading.
        table: Its rows.
        tasks: The task that each column shows; None for a mean.
        directions: The direction that is better, by column.
        sorted_by: Index of the column by which the rows are sorted, best first; None if by none.
    """

    id: str
    title: str
    table: Table = field(repr=False)
    tasks: tuple[str | None, ...]
    directions: tuple[str, ...]
    sorted_by: int | None = None


def make_boards(source: SiteSource) -> list[Board]:
    """Make the tables: that of the main metric first, then the overview, then the others."""
    metrics = ordered_metrics(source)
    boards = [_board(source, name) for name in metrics]
    overview = _overview(source, metrics)
    ordered = [*boards[:1], *([overview] if overview else []), *boards[1:]]
    return [_best_first(board) for board in ordered]


def _best_first(board: Board) -> Board:
    """Sort the rows by the first mean, or by the only column; teachers stay on top."""
    places = [place for place, task in enumerate(board.tasks) if task is None]
    if not places and len(board.tasks) == 1:
        places = [0]
    if not places or board.directions[places[0]] == "none":
        return board
    place = places[0]
    descends = board.directions[place] != "lower"
    groups = ordered_groups(board.table.groups, place, descends=descends)
    return replace(board, table=replace(board.table, groups=tuple(groups)), sorted_by=place)


def ordered_metrics(source: SiteSource) -> list[str]:
    """Names of the metrics that have a number, the score first, then fidelity, then the others."""
    known = set(_numbers(source))
    mains = Counter(result.main_metric for run in source.runs for result in run.results.values())
    first = [source.settings.score, *(name for name, _ in mains.most_common())]
    if source.figures is not None:
        findings = source.figures.findings
        first = [findings.score.name, *first[1:], findings.fidelity.name]
    return [*dict.fromkeys(name for name in first if name in known), *sorted(known - set(first))]


def _numbers(source: SiteSource) -> dict[str, MetricResult]:
    """A result of each metric that has a number in one of the tasks shown."""
    return {
        name: metric
        for run in source.runs
        for task in source.tasks
        if task in run.results
        for name, metric in run.results[task].metrics.items()
        if metric.value is not None
    }


def _board(source: SiteSource, metric: str) -> Board:
    tasks = tuple(task for task in source.tasks if _has(source.runs, task, metric))
    table = build_table(_settings(source, tasks=tasks, metric=metric), source.runs)
    direction = _numbers(source)[metric].direction
    arrow = {"higher": " ↑", "lower": " ↓"}.get(direction, "")
    shown: list[str | None] = [*tasks, *([None] if len(table.columns) > len(tasks) else [])]
    directions = (direction,) * len(table.columns)
    return Board(metric, f"{metric}{arrow}", table, tuple(shown), directions)


def _overview(source: SiteSource, metrics: Sequence[str]) -> Board | None:
    """Every metric as the mean over the tasks, with sizes and costs of training."""
    numbers = _numbers(source)
    columns = [
        name
        for name in metrics
        if numbers[name].direction != "none"
        and any(all(_has([run], task, name) for task in source.tasks) for run in source.runs)
    ]
    if not columns:
        return None
    directions = [numbers[name].direction for name in columns]
    columns_shown = (*columns, *_SIZES, *COSTS)
    settings = _settings(source, tasks=source.tasks, columns=columns_shown, published="none")
    table = build_table(settings, source.runs)
    directions += [SERVING[name][2] for name in _SIZES] + ["none"] * len(COSTS)
    kept = [
        index
        for index in range(len(table.columns))
        if any(row.cells[index] is not None for row in table.rows)
    ]
    return Board(
        "overview",
        "Overview: mean over the tasks",
        _with_columns(table, kept),
        (None,) * len(kept),
        tuple(directions[index] for index in kept),
    )


def _with_columns(table: Table, kept: Sequence[int]) -> Table:
    groups = [
        replace(
            group,
            rows=tuple(
                replace(row, cells=tuple(row.cells[index] for index in kept)) for row in group.rows
            ),
        )
        for group in table.groups
    ]
    columns = tuple(table.columns[index] for index in kept)
    return replace(table, columns=columns, groups=tuple(groups))


def _has(runs: Sequence[StoredRun], task: str, metric: str) -> bool:
    results = (run.results[task].metrics for run in runs if task in run.results)
    return any(metric in known and known[metric].value is not None for known in results)


def _settings(source: SiteSource, **choice: Any) -> TableSettings:
    given = source.settings
    return TableSettings(
        results=given.results,
        baselines=given.baselines,
        error="both",
        **{"published": given.published, **choice},
    )


def best_rows(board: Board, group: int) -> Iterator[set[int]]:
    """For each column, the rows of a group that hold the best number, not those tied with it.

    Where all students have the same number, none is the best.
    """
    rows = board.table.groups[group].rows
    for column, direction in enumerate(board.directions):
        cells = {i: cell for i, row in enumerate(rows) if (cell := row.cells[column]) and cell.best}
        printed = {index: round(cell.value, cell.decimals) for index, cell in cells.items()}
        ranked = [row.cells[column] for row in rows if row.ranked and row.cells[column] is not None]
        if len(ranked) == len(printed) and len(set(printed.values())) == 1:
            printed = {}
        best = (min if direction == "lower" else max)(printed.values(), default=None)
        yield {index for index, value in printed.items() if value == best}
