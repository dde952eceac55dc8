"""`kdbench fill`: the plan, the work, the drawn table."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from kdbench.config import FillSettings, TableSettings, build
from kdbench.errors import InputError
from kdbench.filling.executor import LocalExecutor
from kdbench.filling.fill import work_through
from kdbench.filling.graph import Graph, Places
from kdbench.filling.spec import TableSpec, find_spec, read_spec
from kdbench.filling.state import State, state_of
from kdbench.filling.times import in_words, noted, seconds_of
from kdbench.filling.view import View, last_line
from kdbench.filling.work import log_of, read_mark
from kdbench.store.runs import StoredRun, stored_runs
from kdbench.system.files import put_text
from kdbench.tables import build_table
from kdbench.tables.write import whole_file
from kdbench.task import data_folder


@dataclass(frozen=True)
class Filled:
    """What `fill` returns.

    Attributes:
        text: the plan, or the table as the terminal shows it.
        failed: what went wrong, by key of the node.
        table: the file that holds the table; None where nothing was drawn.
    """

    text: str
    failed: dict[str, str]
    table: Path | None = None


def fill(settings: FillSettings) -> Filled:
    """Do what is missing of a table, and draw it.

    Raises:
        InputError: anything about the table's file, models or data that the user can mend.
    """
    file = find_spec(settings.table)
    spec = read_spec(file, settings.changes)
    how = {} if settings.device is None else {"device": settings.device}
    graph = Graph(spec, _places(settings, spec, file.stem), how)
    if settings.plan:
        return Filled("".join(f"{line}\n" for line in plan_lines(graph, settings.workers)), {})
    with View(graph) as view:
        state = work_through(graph, LocalExecutor(settings.workers, graph.places.models), view)
    return _drawn(graph, state)


def _places(settings: FillSettings, spec: TableSpec, name: str) -> Places:
    data = data_folder(settings.data or spec.data)
    if data is not None and not data.is_dir():
        raise InputError(f"data={data}: no such folder")
    return Places(
        settings.models or spec.models or Path("runs") / name,
        settings.results or spec.results or Path("results") / name,
        data,
    )


def plan_lines(graph: Graph, workers: int = 1) -> Iterator[str]:
    """Each node: whether it is there, how long it will take, what it needs."""
    state, models = state_of(graph), graph.places.models
    took = noted(models)
    times = {
        key: seconds_of(graph.nodes[key], took, last_line(log_of(graph.nodes[key], models)))
        for key in state.wanted
    }
    unneeded = len(graph.nodes) - len(state.done | state.wanted)
    counts = f"{len(state.done)} of {len(graph.nodes)} done, {len(times)} missing"
    yield f"{graph.spec.title}: {counts}{f', {unneeded} unneeded' if unneeded else ''}"
    width = max(map(len, graph.nodes))
    for key, node in graph.nodes.items():
        word = "missing" if key in times else "done" if key in state.done else "unneeded"
        needs = f"needs {', '.join(node.needs)}" if node.needs else ""
        yield f"  {word:<10}{key:<{width}}  {_time(key, times):<8}{needs}".rstrip()
    yield from _time_in_all(times, workers)


def _time(key: str, times: Mapping[str, float | None]) -> str:
    seconds = times.get(key)
    return in_words(seconds) if seconds is not None else "?" if key in times else ""


def _time_in_all(times: Mapping[str, float | None], workers: int) -> Iterator[str]:
    known = [seconds for seconds in times.values() if seconds is not None]
    if not times:
        yield "nothing to do"
        return
    side = f" with {workers} side by side" if workers > 1 else ""
    if known:
        yield f"about {in_words(sum(known) / workers)}{side}, from what nodes took here"
    if len(known) < len(times):
        yield f"? for {len(times) - len(known)}: nothing like it was done here for this table yet"


def _runs(graph: Graph, state: State) -> list[StoredRun]:
    """The runs of the rows as they are now, in order; older ones of a row that changed are not."""
    stored = {run.folder: run for run in stored_runs(graph.places.results)}
    runs = []
    for row in (graph.teacher, *graph.rows):
        node = graph.nodes[f"evaluate {row.label}"]
        if node.key in state.done:
            run = stored[read_mark(node)["run"]]
            named = {**run.record, "method": row.label, "setting": graph.setting}
            runs.append(replace(run, record=named))
    return runs


def _drawn(graph: Graph, state: State) -> Filled:
    spec, places = graph.spec, graph.places
    lines = [
        f"failed: {key}: {reason} (log: {log_of(graph.nodes[key], places.models)})\n"
        for key, reason in state.failed.items()
    ]
    lines += [f"not begun: {key}: needs {why}\n" for key, why in state.blocked(graph.nodes).items()]
    runs = _runs(graph, state)
    if not runs:
        return Filled("".join(lines), state.failed)
    found = dict.fromkeys(task for run in runs for task in run.results)
    tasks = [task for task in spec.tasks if task in found]  # those of files by their own names
    table = build_table(
        build(
            TableSettings,
            {
                "results": places.results,
                "tasks": [*tasks, *(task for task in found if task not in tasks)],
                "columns": spec.columns,
                "rows": [run.label for run in runs],
                "settings": ("measured", *spec.published),
                "published": "verified" if spec.published else "none",
            },
        ),
        runs,
    )
    file = places.results / "TABLE.md"
    put_text(file, whole_file(file, "md", table.render("md")))
    return Filled(f"{table}\n{''.join(lines)}table in {file}\n", state.failed, file)
