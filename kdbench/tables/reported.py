"""Rows that papers and web pages report, as rows of a table."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from kdbench.tables.column import Column
from kdbench.tables.cost import COSTS
from kdbench.tables.model import Cell, Group, TableRow
from kdbench.tables.published import (
    Certainty,
    Published,
    PublishedRow,
    PublishedSetting,
    read_published,
)
from kdbench.text import AVERAGE

Show = Literal["verified", "second_hand", "all"]
_SHOWN: dict[Show, tuple[Certainty, ...]] = {
    "verified": ("verified",),
    "second_hand": ("verified", "second_hand"),
    "all": ("verified", "second_hand", "unverified"),
}
JUDGE = "judge"
"""The metric of a judge's grades: 100 times their sum over that of the references' grades."""
RELATIVE_COST = "relative_cost"
PER_SOURCE = frozenset({JUDGE, RELATIVE_COST})
"""Metrics that compare within one source only: each has a judge or a machine of its own."""
_SFT = "SFT"


def published_groups(
    path: Path | None, tasks: Sequence[str], metric: str, show: Show
) -> list[Group]:
    """Read the reported rows of one metric, a group for each setting.

    Args:
        path: YAML file; None for the bundled one.
        tasks: Tasks to show; their average follows.
        metric: Metric to show; without numbers of it there is no group.
        show: `verified` for verified numbers only, `second_hand` for these and what a third party
            quotes, `all` for all; those that are not verified are marked.

    Raises:
        InputError: the file is not one of published numbers.
    """
    columns = [
        *(Column(task, metric, (task,), mean=False) for task in tasks),
        Column(AVERAGE, metric, tuple(tasks), mean=True),
    ]
    return published_columns(path, columns, show)


def published_columns(path: Path | None, columns: Sequence[Column], show: Show) -> list[Group]:
    """Read the reported rows for columns of any metric; what papers do not report stays empty.

    Args:
        path: YAML file; None for the bundled one.
        columns: Columns to fill.
        show: As for `published_groups`.

    Raises:
        InputError: the file is not one of published numbers.
    """
    published = read_published(path)
    groups = [
        Group(setting.id, setting.title, tuple(_rows(published, setting, columns, show)))
        for setting in published.settings
    ]
    return [group for group in groups if group.rows]


def relative_cost(setting: PublishedSetting, row: PublishedRow) -> float | None:
    """A row's training time over that of the SFT row of the same source; None if one is unknown.

    Args:
        setting: Setting of the row.
        row: The row.
    """
    of_sft = [
        other.minutes
        for other in setting.rows
        if other.name == _SFT and other.source == row.source and other.minutes is not None
    ]
    return None if row.minutes is None or not of_sft else row.minutes / of_sft[0]


def _rows(
    published: Published, setting: PublishedSetting, columns: Sequence[Column], show: Show
) -> Iterator[TableRow]:
    for row in setting.rows:
        cells = tuple(_column_cell(published, setting, row, column, show) for column in columns)
        if not any(cells):
            continue
        source = published.sources[row.source]
        pairs = zip(columns, cells, strict=True)
        judged = row.judge is not None and any(c.metric == JUDGE and cell for c, cell in pairs)
        judge = f"{JUDGE}: {row.judge.by}" if judged and row.judge else ""
        yield TableRow(
            label=row.method,
            kind="reported",
            ranked=row.role == "student",
            source=", ".join(filter(None, (source.title, source.url))),
            cells=cells,
            note="; ".join(filter(None, (row.note, judge))),
        )


def _column_cell(
    published: Published,
    setting: PublishedSetting,
    row: PublishedRow,
    column: Column,
    show: Show,
) -> Cell | None:
    """The cell of a row and a column; None for what is not reported, or not to be shown."""
    if column.metric == RELATIVE_COST:
        value = relative_cost(setting, row)
        cells = [value and _cell(value, row.certainty, COSTS[RELATIVE_COST][1], show)]
    elif column.metric == JUDGE:
        cells = [_judge_cell(row, task, show) for task in column.tasks]
    elif column.metric == published.metric:
        cells = [score_cell(row, task, show) for task in column.tasks]
    else:
        return None
    return _average([cell or None for cell in cells]) if column.mean else cells[0] or None


def score_cell(row: PublishedRow, task: str, show: Show) -> Cell | None:
    """The score of a row on a task; None if it is not reported, or not to be shown."""
    if task not in row.values:
        return None
    certainty = row.certainty_of(task)
    return _cell(row.values[task], certainty, row.decimals, show, sd=row.sd.get(task))


def _judge_cell(row: PublishedRow, task: str, show: Show) -> Cell | None:
    if row.judge is None or task not in row.judge.values:
        return None
    certainty = row.judge.certainty or row.certainty
    return _cell(row.judge.values[task], certainty, row.decimals, show)


def _cell(
    value: float, certainty: Certainty, decimals: int, show: Show, sd: float | None = None
) -> Cell | None:
    if certainty not in _SHOWN[show]:
        return None
    return Cell(
        value,
        sd=sd,
        decimals=decimals,
        unverified=certainty == "unverified",
        second_hand=certainty == "second_hand",
    )


def _average(cells: Sequence[Cell | None]) -> Cell | None:
    """The plain mean of cells; None if one is missing."""
    known = [cell for cell in cells if cell is not None]
    if len(known) < len(cells) or not known:
        return None
    mean = sum(cell.value for cell in known) / len(known)
    unverified = any(cell.unverified for cell in known)
    second_hand = not unverified and any(cell.second_hand for cell in known)
    return Cell(mean, decimals=known[0].decimals, unverified=unverified, second_hand=second_hand)
