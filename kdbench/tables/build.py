"""Results and published numbers become a table."""

from collections.abc import Sequence
from dataclasses import replace

from kdbench.config import TableSettings
from kdbench.errors import InputError, nearest
from kdbench.store.runs import StoredRun, stored_runs
from kdbench.tables.column import Column, Direction
from kdbench.tables.columns import chosen_columns, headline, plain_columns
from kdbench.tables.measured import measured_groups
from kdbench.tables.model import Group
from kdbench.tables.published import published_columns, published_groups
from kdbench.tables.table import Table
from kdbench.tables.ties import Ties


def build_table(settings: TableSettings, runs: Sequence[StoredRun] | None = None) -> Table:
    """The comparison table.

    Args:
        settings: what to show.
        runs: of these; None means all of `results=`.

    Raises:
        InputError: unreadable results or baselines, an unknown group, or nothing to show.
    """
    runs = list(stored_runs(settings.results)) if runs is None else runs
    settings = settings.model_copy(update={"metric": headline(settings.metric, runs)})
    chosen = bool(settings.columns)
    columns = chosen_columns(settings, runs) if chosen else plain_columns(settings, runs)
    groups = measured_groups(runs, columns, chosen, settings.rows) + _published(settings, columns)
    if settings.settings:
        groups = _select(groups, settings.settings)
    if not groups:
        what = f"columns={','.join(settings.columns)}" if chosen else f"metric '{settings.metric}'"
        raise InputError(
            f"results={settings.results}: no result with {what}, and no published row asked for"
        )
    return Table(
        metric=settings.metric,
        unit=columns[0].unit,
        columns=tuple(column.title for column in columns),
        groups=tuple(_mark_best(group, columns, runs) for group in groups),
        error=settings.error,
        meanings=tuple(column.meaning for column in columns) if chosen else (),
    )


def _published(settings: TableSettings, columns: Sequence[Column]) -> list[Group]:
    """The reported rows; of chosen columns they fill those of their metric."""
    baselines, show = settings.baselines, settings.published
    if show == "none":
        return []
    if not settings.columns:
        return published_groups(baselines, settings.tasks, settings.metric, show)
    for metric in dict.fromkeys(column.metric for column in columns):
        shown = [column.tasks if column.metric == metric else () for column in columns]
        if groups := published_columns(baselines, shown, metric, show):
            return groups
    return []


def _mark_best(group: Group, columns: Sequence[Column], runs: Sequence[StoredRun]) -> Group:
    rows = list(group.rows)
    by_folder = {run.folder: run for run in runs}
    ties = Ties([by_folder.get(row.source) for row in rows])
    tested = False
    for place, column in enumerate(columns):
        cells = {
            index: cell
            for index, row in enumerate(rows)
            if row.ranked and (cell := row.cells[place]) is not None
        }
        # Which of two bounded values is the better one is not known.
        if column.direction == "none" or any(cell.bound for cell in cells.values()):
            continue
        sign = _sign(column.direction)
        ranked = {i: round(sign * cell.value, cell.decimals) for i, cell in cells.items()}
        if len(ranked) < 2:
            continue
        top = max(ranked, key=ranked.__getitem__)
        equal = [index for index, value in ranked.items() if value == ranked[top]]
        others = [index for index in ranked if index not in equal]
        alike = ties.with_best(column, top, others) if group.measured else []
        tested = tested or group.measured
        for index in (*equal, *alike):
            marked = list(rows[index].cells)
            marked[place] = replace(cells[index], best=True)
            rows[index] = replace(rows[index], cells=tuple(marked))
    return replace(group, rows=tuple(rows), tested=tested)


def _sign(direction: Direction) -> int:
    return -1 if direction == "lower" else 1


def _select(groups: Sequence[Group], wanted: Sequence[str]) -> list[Group]:
    ids = {group.id for group in groups} | {"measured"}
    for word in wanted:
        if word not in ids:
            raise InputError(f"settings={word}: no such group of rows; {nearest(word, ids)}")
    return [one for one in groups if one.id in wanted or ("measured" in wanted and one.measured)]
