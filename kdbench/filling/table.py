"""`kdbench fill`: read a table's file, do what is missing, draw the table."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kdbench.config import EvalSettings, FillSettings, TableSettings, build
from kdbench.config.storage import mirrored
from kdbench.errors import InputError, faults_in, nearest, nearest_path
from kdbench.filling.choice import choose_executor
from kdbench.filling.data_sets import check_data_sets
from kdbench.filling.downloads import check_downloads, downloads
from kdbench.filling.dry_run import dry_run_lines, planned_nodes
from kdbench.filling.fill import do_missing
from kdbench.filling.filled import Filled, draw_filled
from kdbench.filling.graph import Graph, Places
from kdbench.filling.keys import refuse_keys_of_table
from kdbench.filling.mechanisms import check_mechanisms
from kdbench.filling.progress import ProgressView
from kdbench.filling.published import check_reported
from kdbench.filling.resources import Needs
from kdbench.filling.rows import SpecRow, labels_of, plugins_of, spec_rows
from kdbench.filling.spec import TEACHER, TableSpec, read_spec
from kdbench.filling.spec_files import find_spec
from kdbench.filling.state import State
from kdbench.filling.tasks import extra_names
from kdbench.filling.times import times_file
from kdbench.filling.worlds import TableWorld, make_missing, world_lines, world_of
from kdbench.store.packs import PACK, pack_in
from kdbench.system.remote.hooks import fetch, fetch_results, publishing
from kdbench.tables.columns import chosen_columns
from kdbench.tables.reported import published_groups
from kdbench.task import TITLES, data_folder
from kdbench.text import counted
from kdbench.trackers import check_trackers, prepare_trackers, track_run


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
    with faults_in(str(file)):
        rows = spec_rows(spec, plugins)
    _check_evaluate(spec, file)
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
    graph = Graph(spec, places, execution, settings.rows, settings.checkpoints)
    executor = make_executor(places.models, Needs(graph).of)
    if plans:
        nodes, missing = planned_nodes(graph, executor), downloads(graph)
        where = executor.describe()
        lines = [
            *dry_run_lines(graph.spec.title, nodes, executor.slots, where, missing),
            *_packed_otherwise(graph, places.results),
        ]
        return Filled("".join(f"{line}\n" for line in lines), {}, planned=tuple(nodes))
    if settings.executor == "local":  # other machines have caches of their own
        check_downloads(downloads(graph))
    prepare_trackers(settings.report_to)
    with ProgressView(graph, executor.slots) as view:
        state = do_missing(graph, executor, view, settings.retries)
    _fetch(places)
    _track(graph, state, execution)
    with publishing([times_file(places.models)]):
        return draw_filled(graph, state, rows)


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


def _packed_otherwise(graph: Graph, results: Path) -> Iterator[str]:
    """A line on packed evaluations that count as missing, so that nobody thinks them lost."""
    packed = pack_in(results)
    evaluations = {node.place.name for node in graph.evaluations.values()}
    others = set() if packed is None else packed.marks.keys() - evaluations
    if others:
        number = counted(len(others), "evaluation")
        yield (
            f"packed in {results / PACK}: {number} with other data, models or settings than those "
            "of this call, so not counted as done: check data= and the keys with dots; "
            f"kdbench table results={results} shows them"
        )


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


def _check_evaluate(spec: TableSpec, file: Path) -> None:
    """Check the keys of evaluations before any model is looked at.

    Raises:
        InputError: One is unknown, or its value is wrong.
    """
    with faults_in(str(file)):
        refuse_keys_of_table(spec.evaluate, "evaluate")  # first: building settings loads plugins=
    with faults_in(f"{file}: evaluate"):
        build(EvalSettings, {**spec.evaluate, "model": "m", "teacher": "t"})


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
        with faults_in(str(file)):
            chosen_columns(settings, ())


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
