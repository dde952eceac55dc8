"""`kdbench fill`: read a table's file, do what is missing, draw the table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdbench.config import FillSettings, TableSettings, build
from kdbench.config.storage import mirrored
from kdbench.distillation.card import CARD
from kdbench.errors import InputError, nearest, nearest_path
from kdbench.filling.choice import choose_executor
from kdbench.filling.data_sets import check_data_sets
from kdbench.filling.downloads import check_downloads, downloads
from kdbench.filling.dry_run import PlannedNode, dry_run_lines, planned_nodes
from kdbench.filling.fill import do_missing
from kdbench.filling.graph import Graph, Places
from kdbench.filling.logs import log_of
from kdbench.filling.mechanism_table import MechanismTable, mechanism_table
from kdbench.filling.mechanisms import check_mechanisms
from kdbench.filling.nodes import ModelNode, TrainNode
from kdbench.filling.progress import ProgressView
from kdbench.filling.published import check_reported, next_to_published, with_block
from kdbench.filling.resources import Needs
from kdbench.filling.rows import SpecRow, labels_of, plugins_of, spec_rows
from kdbench.filling.spec import TEACHER, TableSpec, find_spec, read_spec
from kdbench.filling.state import State
from kdbench.filling.tasks import extra_names, shown_tasks
from kdbench.filling.times import times_file
from kdbench.filling.worlds import TableWorld, make_missing, world_lines, world_of
from kdbench.measuring.identity import training_of
from kdbench.store.packed_folder import open_run
from kdbench.store.packs import PACK, pack_in
from kdbench.store.runs import StoredRun, stored_runs
from kdbench.system.files import read_json
from kdbench.system.notebook import cell, text
from kdbench.system.outputs import put_output
from kdbench.system.remote.hooks import (
    fetch,
    fetch_checkpoint,
    fetch_results,
    publishing,
    watch,
)
from kdbench.tables import Table, build_table
from kdbench.tables.columns import chosen_columns
from kdbench.tables.recipes import merged_seeds
from kdbench.tables.reported import published_groups
from kdbench.tables.side_by_side_table import SideBySide
from kdbench.tables.write import whole_file
from kdbench.task import TITLES, data_folder
from kdbench.trackers import check_trackers, prepare_trackers, track_run

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class FilledRow:
    """A model of a filled table: that of one training seed, or a given checkpoint.

    Attributes:
        label: Label of the row.
        seed: Seed of its training; None for a given checkpoint.
        checkpoint: Its folder, which may have been deleted since.
        run: Its results.
    """

    label: str
    seed: int | None
    checkpoint: Path
    run: StoredRun = field(repr=False)


@dataclass(frozen=True, repr=False)
class Filled:
    """The outcome of `fill`.

    Attributes:
        notes: Lines of the dry run, or lines to show below the table.
        failed: What went wrong, by key of the node.
        table: File of the table; None if nothing was drawn.
        drawn: The table; None if nothing was drawn.
        planned: The nodes of a dry run.
        mechanisms: Whether methods moved what they should; None if no row has `against`.
        published: The scores next to published ones; None without `spread`.
        rows: The teacher and the models of all rows, those that were measured.
    """

    notes: str
    failed: dict[str, str]
    table: Path | None = None
    drawn: Table | None = None
    planned: tuple[PlannedNode, ...] = ()
    mechanisms: MechanismTable | None = None
    published: SideBySide | None = None
    rows: tuple[FilledRow, ...] = ()

    @property
    def text(self) -> str:
        """Lines of the dry run, or the table as a terminal shows it with what is below it."""
        tables = (self.drawn, self.published, self.mechanisms)
        return "\n".join([*(str(table) for table in tables if table is not None), self.notes])

    def __repr__(self) -> str:
        return self.text.rstrip("\n")

    def to_pandas(self) -> "pd.DataFrame":
        """Return the table's cells as a tidy data frame.

        Raises:
            InputError: Nothing was drawn.
        """
        if self.drawn is None:
            raise InputError("no table was drawn: it was a dry run, or every row failed")
        return self.drawn.to_pandas()

    def _repr_html_(self) -> str:
        table = "" if self.drawn is None else self.drawn._repr_html_()
        return table + (cell([f"<pre>{text(self.text)}</pre>"]) if not table else "")


def fill(settings: FillSettings) -> Filled:
    """Do what is missing of a table, then draw it.

    Args:
        settings: Settings of `kdbench fill`.

    Raises:
        InputError: the table's file, a model or a data set is missing or wrong.
    """
    file = find_spec(settings.table)
    return fill_spec(read_spec(file, settings.changes), settings, file)


def fill_spec(spec: TableSpec, settings: FillSettings, file: Path) -> Filled:
    """Do what is missing of a table whose specification may come from elsewhere than a file.

    Args:
        spec: Specification of the table.
        settings: Settings of `kdbench fill`; `table` and `changes` are not read.
        file: Its file, for messages and the default folders.

    Raises:
        InputError: a model or a data set is missing or wrong.
    """
    _check_columns(spec, file)
    plugins = plugins_of(settings.plugins)
    rows = spec_rows(spec, plugins)
    check_mechanisms(spec, rows, file)
    check_data_sets(spec, rows, plugins, file)
    check_trackers(settings.report_to)
    make_executor = choose_executor(settings)
    plans = settings.plan or settings.dry_run
    world = world_of(spec)
    if world is not None and world.missing():
        asked = _asked(settings.rows, spec, rows)
        if plans:
            return _planned_world(world, spec, asked, _results_of(settings, spec, file.stem))
        make_missing(world)
    execution = _execution(settings, spec)
    places = places_of(settings, spec, file.stem)
    _fetch(places)
    graph = Graph(spec, places, execution, settings.rows)
    executor = make_executor(places.models, Needs(graph).of)
    if plans:
        nodes, missing = planned_nodes(graph, executor), downloads(graph)
        where = executor.describe()
        lines = dry_run_lines(graph.spec.title, nodes, executor.slots, where, missing)
        return Filled("".join(f"{line}\n" for line in lines), {}, planned=tuple(nodes))
    if settings.executor == "local":  # other machines have caches of their own
        check_downloads(downloads(graph))
    prepare_trackers(settings.report_to)
    with ProgressView(graph, executor.slots) as view:
        state = do_missing(graph, executor, view, settings.retries)
    _fetch(places)
    _track(graph, state, execution)
    with publishing([times_file(places.models)]):
        return _drawn(graph, state, rows)


def _fetch(places: Places) -> None:
    """Fetch what a graph's state, its estimates and its table are read from."""
    fetch_results(places.results)
    times = times_file(places.models).name
    fetch(places.models, lambda path: path == times or path.startswith("logs/"))


def _asked(names: Sequence[str], spec: TableSpec, rows: Sequence[SpecRow]) -> Sequence[SpecRow]:
    """The rows that are asked for, checked before a world is made.

    Raises:
        InputError: A name is that of no row.
    """
    known = {spec.teacher.label or TEACHER, *labels_of(rows)}
    for name in names:
        if name not in known and all(row.label is not None for row in rows):
            raise InputError(f"rows={name}: the table has no such row: {nearest(name, known)}")
    return [row for row in rows if not names or row.label in names]


def _planned_world(
    world: TableWorld, spec: TableSpec, rows: Sequence[SpecRow], results: Path
) -> Filled:
    """The lines of a dry run before the world exists, whose content decides what is done."""
    labels = ", ".join(labels_of(rows))
    sets = [f"then the data sets {', '.join(spec.data_sets)}"] if spec.data_sets else []
    lines = [*world_lines(world), *sets, f"then a training and an evaluation of each row: {labels}"]
    if (packed := pack_in(results)) is not None:
        lines.append(
            f"packed in {results / PACK}: {len(packed.marks)} evaluations, which count as done if "
            f"the world is as it was for them; kdbench table results={results} shows them"
        )
    return Filled("".join(f"{line}\n" for line in lines), {})


def _execution(settings: FillSettings, spec: TableSpec) -> dict[str, Any]:
    """Keys of every training and evaluation that do not affect results."""
    keys: dict[str, Any] = {} if settings.device is None else {"device": settings.device}
    if settings.report_to:
        keys["report_to"] = settings.report_to
        keys["report_group"] = settings.report_group or spec.title
    if settings.plugins:
        keys["plugins"] = settings.plugins
    return keys


def _track(graph: Graph, state: State, execution: Mapping[str, Any]) -> None:
    """Log the evaluations that the trackers lack: earlier ones, and those that failed to be."""
    for node in graph.evaluations.values():
        if execution.get("report_to") and node.key in state.done:
            folder = graph.places.results / node.run_folder()
            track_run(folder, execution["report_to"], execution["report_group"])


def _check_columns(spec: TableSpec, file: Path) -> None:
    """Check before any training what is only read when the table is drawn.

    Raises:
        InputError: a column or a group of published rows is unknown.
    """
    own = [column for column in spec.columns if column.partition(":")[0] not in extra_names(spec)]
    settings = build(TableSettings, {"tasks": spec.tasks, "columns": own})
    groups = published_groups(settings.baselines, spec.tasks, settings.metric, "all")
    known = {group.id for group in groups}
    for group_id in spec.published:
        if group_id not in known:
            raise InputError(f"{file}: published: '{group_id}': {nearest(group_id, known)}")
    check_reported(spec, file)
    if set(spec.tasks) <= set(TITLES):  # other tasks can have metrics of their own
        try:
            chosen_columns(settings, ())
        except InputError as error:
            raise InputError(f"{file}: {error}") from None


def places_of(settings: FillSettings, spec: TableSpec, name: str) -> Places:
    """The folders of a table.

    Args:
        settings: Settings of the call, which go before the file.
        spec: Specification of the table.
        name: Name of its file.

    Raises:
        InputError: A folder is a file, or that of the data does not exist.
    """
    data = data_folder(settings.data or spec.data)
    if data is not None and not data.is_dir():
        raise InputError(f"data={data}: no such folder{nearest_path(data)}")
    models = settings.models or spec.models or Path("runs") / name
    results = _results_of(settings, spec, name)
    options, work = settings.storage_options, settings.work
    models = mirrored("models", models, options, work)
    results = mirrored("results", results, options, work)
    for key, folder in (("models", models), ("results", results)):
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{key}={folder}: is a file, not a folder")
    return Places(models, results, data)


def _results_of(settings: FillSettings, spec: TableSpec, name: str) -> Path:
    return settings.results or spec.results or Path("results") / name


def _drawn(graph: Graph, state: State, rows: Sequence[SpecRow]) -> Filled:
    failures = _failure_lines(graph, state)
    filled_rows = _rows(graph, state)
    runs = [row.run for row in filled_rows]
    if not runs:
        return Filled(failures, state.failed)
    spec, places = graph.spec, graph.places
    settings = {
        "results": places.results,
        "tasks": shown_tasks(spec, runs),
        "columns": spec.columns,
        "metric": _metric(runs),
        "rows": list(dict.fromkeys(run.label for run in merged_seeds(runs))),
        "settings": ("measured", *spec.published),
        "published": spec.certainty if spec.published else "none",
    }
    table = build_table(build(TableSettings, settings), runs)
    compares = spec.mechanisms and any(row.entry.against for row in rows)
    mechanisms = mechanism_table(spec, rows, runs) if compares else None
    published = next_to_published(spec, table) if spec.spread else None
    file = places.results / "TABLE.md"
    watch(file)
    text = whole_file(file, "md", table.render("md"))
    text = with_block(text, "published", None if published is None else published.render("md"))
    drawn = None if mechanisms is None else mechanisms.render("md")
    put_output(file, with_block(text, "mechanisms", drawn))
    return Filled(
        f"{failures}table written to {file}\n",
        state.failed,
        file,
        table,
        mechanisms=mechanisms,
        published=published,
        rows=tuple(filled_rows),
    )


def _metric(runs: Sequence[StoredRun]) -> str:
    """The metric of the table: ROUGE-L, or the main metric of tasks without references."""
    default = str(TableSettings.model_fields["metric"].default)
    mains = dict.fromkeys(result.main_metric for run in runs for result in run.results.values())
    return default if default in mains else next(iter(mains), default)


def _rows(graph: Graph, state: State) -> list[FilledRow]:
    """The current runs of the rows, in order, without earlier runs of rows that have changed."""
    models = [
        (model, graph.evaluations[model.label])
        for model in (graph.teacher, *graph.rows)
        if graph.evaluations[model.label].key in state.done
    ]
    for model, evaluation in models:
        _record_seed(graph.places.results / evaluation.run_folder(), model)
    stored = {run.folder: run for run in stored_runs(graph.places.results)}
    rows = []
    for model, evaluation in models:
        run = stored[evaluation.run_folder()]
        labels = {"method": model.row, "setting": graph.setting}
        run = replace(run, record={**run.record, **labels})
        seed = model.recipe.settings.seed if isinstance(model, TrainNode) else None
        rows.append(FilledRow(model.row, seed, model.place, run))
    return rows


def _record_seed(folder: Path, model: ModelNode) -> None:
    """Record the seed and recipe of a training, which runs of earlier versions lack."""
    if not isinstance(model, TrainNode):
        return

    def change(record: dict[str, Any]) -> dict[str, Any]:
        if "seed" in (record.get("training") or {}):
            return record
        fetch_checkpoint(model.place, CARD)
        return {**record, "training": training_of(read_json(model.place / CARD))}

    open_run(folder).update_run(change)


def _failure_lines(graph: Graph, state: State) -> str:
    lines = []
    for key, error in state.failed.items():
        log = log_of(graph.nodes[key], graph.places.models)
        lines.append(f"failed: {key}: {error} (log: {log})\n")
    for key, failed in state.blocked(graph).items():
        lines.append(f"not started: {key}: needs {failed}, which failed\n")
    return "".join(lines)
