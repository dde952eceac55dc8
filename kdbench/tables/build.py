"""Results and published numbers become a table."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from kdbench.config import TableSettings
from kdbench.errors import InputError, nearest, nearest_path
from kdbench.store.packs import PACK, pack_in
from kdbench.store.runs import StoredRun, stored_runs
from kdbench.tables.categories import categories_of, only_category
from kdbench.tables.column import Column, column_notes
from kdbench.tables.columns import chosen_columns, full_metric_name, plain_columns
from kdbench.tables.measured import measured_groups
from kdbench.tables.model import Cell, ColumnHead, Group
from kdbench.tables.recipes import merged_seeds
from kdbench.tables.render import Table
from kdbench.tables.reported import PER_SOURCE, published_columns
from kdbench.tables.serving import load_notes
from kdbench.tables.sorting import sorted_groups
from kdbench.tables.ties import Ties
from kdbench.tables.verdicts import verdict, verdict_column
from kdbench.task import NO_REFERENCES


def build_table(settings: TableSettings, runs: Sequence[StoredRun] | None = None) -> Table:
    """Build the comparison table.

    Args:
        settings: What to show.
        runs: Runs to show; None for all runs in `results=`.

    Raises:
        InputError: results or baselines cannot be read, a group is unknown, or the table is empty.
    """
    runs = merged_seeds(
        list(stored_runs(settings.results, in_parts=True)) if runs is None else runs
    )
    if "metric" in settings.model_fields_set:
        settings = settings.model_copy(update={"metric": full_metric_name(settings.metric, runs)})
    chosen = bool(settings.columns)
    columns = chosen_columns(settings, runs) if chosen else plain_columns(settings, runs)
    measured = [
        _mark_best(group, columns, of_category)
        for title, of_category in _parts(settings, runs, columns)
        for group in measured_groups(of_category, columns, chosen, settings.rows, title)
    ]
    published = [_mark_best(group, columns, ()) for group in _published(settings, columns)]
    groups = [*measured, *published]
    if settings.settings:
        groups = _select(groups, settings.settings)
    if settings.sort is not None:
        groups = sorted_groups(groups, columns, settings.sort)
    if not groups:
        what = f"columns={','.join(settings.columns)}" if chosen else f"metric '{settings.metric}'"
        packed = "".join(f"; {note}".rstrip(".") for note in _packed_notes(settings, columns))
        raise InputError(
            f"results={settings.results}: no result with {what}"
            f"{packed or _why_none(settings, runs)}"
        )
    shown = [] if chosen else columns
    return Table(
        metric=" or ".join(dict.fromkeys(c.metric for c in shown)) or settings.metric,
        unit=" or ".join(dict.fromkeys(c.unit for c in shown)) or columns[0].unit,
        columns=tuple(column.title for column in columns),
        groups=tuple(groups),
        error=settings.error,
        meanings=(*column_notes(columns), *load_notes(columns), *_packed_notes(settings, columns))
        if chosen
        else (),
        heads=tuple(ColumnHead(c.name, c.metric, c.tasks, c.unit, c.direction) for c in columns),
        keeps_errors="error" in settings.model_fields_set,
        details=settings.details,
    )


def _packed_notes(settings: TableSettings, columns: Sequence[Column]) -> Iterator[str]:
    """Which columns packed runs lack, since a pack keeps the metrics of its own table."""
    pack = pack_in(settings.results)
    if pack is None or not pack.runs_without_folder(settings.results):
        return
    shown = dict.fromkeys(column.metric for column in columns)
    gone = [metric for metric in shown if metric in pack.left_out]
    if gone:
        yield f"{PACK} was made without {', '.join(gone)}, which packed rows therefore lack."


def unshown_tasks(settings: TableSettings, runs: Sequence[StoredRun]) -> list[str]:
    """Return the tasks that have results but no column because `tasks=` was not given.

    Args:
        settings: What to show.
        runs: Runs to show.
    """
    if "tasks" in settings.model_fields_set:
        return []
    columns = (chosen_columns if settings.columns else plain_columns)(settings, runs)
    shown = {task for column in columns for task in column.tasks}
    return sorted({task for run in runs for task in run.results} - shown)


def _parts(
    settings: TableSettings, runs: Sequence[StoredRun], columns: Sequence[Column]
) -> Iterator[tuple[str, Sequence[StoredRun]]]:
    """The runs with all prompts, then with those of each category; the start of their titles."""
    yield "", runs
    if settings.by is not None:
        tasks = [task for column in columns for task in column.tasks]
        for category in categories_of(runs, tasks):
            yield f"category {category}, ", [only_category(run, category) for run in runs]


def _why_none(settings: TableSettings, runs: Sequence[StoredRun]) -> str:
    """What to choose if the runs have results, but no number of this metric of these tasks."""
    if not settings.results.is_dir():
        return f"; there is no such folder{nearest_path(settings.results)}"
    measured = {task for run in runs for task in run.results}
    if measured and not measured & set(settings.tasks):
        return f"; choose tasks= among {', '.join(sorted(measured))}"
    results = [run.results[task] for run in runs for task in settings.tasks if task in run.results]
    metrics = [(name, metric) for result in results for name, metric in result.metrics.items()]
    if (settings.metric, NO_REFERENCES) not in {(name, metric.reason) for name, metric in metrics}:
        if settings.published != "none":
            return ", and no published row to show"
        has_reported = settings.metric == TableSettings.model_fields["metric"].default
        return "; published=verified shows what papers report" if has_reported else ""
    known = sorted({name for name, metric in metrics if metric.value is not None})
    return f": {NO_REFERENCES}; choose metric= among {', '.join(known)}"


def _published(settings: TableSettings, columns: Sequence[Column]) -> list[Group]:
    """The reported rows; they fill those of the chosen columns that show their metric."""
    baselines, show = settings.baselines, settings.published
    if "published" not in settings.model_fields_set and (settings.settings or baselines):
        show = "verified"  # for the groups that settings= names, or those of a file of its own
    if show == "none":
        return []
    return published_columns(baselines, columns, show)


def _mark_best(group: Group, columns: Sequence[Column], runs: Sequence[StoredRun]) -> Group:
    """Mark the best rows of each column, and those not significantly different from them."""
    rows = list(group.rows)
    by_folder = {run.folder: run for run in runs}
    ties = Ties([by_folder.get(row.source) for row in rows])
    tested, words = False, ""
    for place, column in enumerate(columns):
        if not group.measured and column.metric in PER_SOURCE:
            continue
        cells = {
            index: cell
            for index, row in enumerate(rows)
            if row.ranked and (cell := row.cells[place]) is not None
        }
        best = _best(column, cells)
        if not best:
            continue
        if group.measured:
            if place == verdict_column(columns):
                words = verdict(rows, column, cells, best, ties)
            others = [index for index in cells if index not in best]
            best += ties.with_best(column, best[0], others)
            tested = True
        for index in best:
            marked = list(rows[index].cells)
            marked[place] = replace(cells[index], best=True)
            rows[index] = replace(rows[index], cells=tuple(marked))
    return replace(group, rows=tuple(rows), tested=tested, verdict=words)


def _best(column: Column, cells: Mapping[int, Cell]) -> list[int]:
    """The rows with the best value as printed; empty where no row can be called the best.

    Args:
        column: The column.
        cells: Cells of the ranked rows, by row.
    """
    # Which of two bounded values is better is not known.
    if column.direction == "none" or any(cell.bound for cell in cells.values()) or len(cells) < 2:
        return []
    printed = {index: round(cell.value, cell.decimals) for index, cell in cells.items()}
    best = (max if column.direction == "higher" else min)(printed.values())
    return [index for index, value in printed.items() if value == best]


def _select(groups: Sequence[Group], ids: Sequence[str]) -> list[Group]:
    known = {group.id for group in groups} | {"measured"}
    for group_id in ids:
        if group_id not in known:
            raise InputError(
                f"settings={group_id}: no such group of rows; {nearest(group_id, known)}"
            )
    return [group for group in groups if group.id in ids or ("measured" in ids and group.measured)]
