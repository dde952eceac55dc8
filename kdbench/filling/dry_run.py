"""`kdbench fill --dry-run`, which lists the nodes and estimates the missing ones."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from kdbench.filling.downloads import Download, download_lines, downloads
from kdbench.filling.executor import Executor
from kdbench.filling.graph import Graph
from kdbench.filling.logs import last_line, log_of
from kdbench.filling.state import State, state_of
from kdbench.filling.times import estimated_seconds, recorded_times
from kdbench.text import counted, duration

PlannedStatus = Literal["done", "missing", "download", "left out", "unneeded"]


@dataclass(frozen=True)
class PlannedNode:
    """A node in a dry run.

    Attributes:
        key: Key of the node.
        status: `done`, `missing`, `download` (a checkpoint on the Hub that is needed and not on
            this disk), `left out` (missing, but no row that is asked for needs it) or `unneeded`.
        seconds: Estimated wall time; None if it is not missing, or nothing similar was timed.
        needs: Keys of the nodes that it needs.
        resources: What it needs of a machine, as text; empty for a node that is not missing.
    """

    key: str
    status: PlannedStatus
    seconds: float | None
    needs: tuple[str, ...]
    resources: str = ""

    @property
    def estimate(self) -> str:
        """The estimated time, `?` if it is unknown."""
        if self.status != "missing":
            return ""
        return "?" if self.seconds is None else duration(self.seconds)

    @property
    def needed(self) -> str:
        """The nodes that it needs and its resources, as text."""
        needs = f"needs {', '.join(self.needs)}" if self.needs else ""
        return "; ".join(filter(None, (needs, self.resources)))


def planned_nodes(graph: Graph, executor: Executor | None = None) -> list[PlannedNode]:
    """The nodes of a table: what is done, and how long the missing ones take.

    Args:
        graph: The graph of the table.
        executor: Where the nodes would run; None to leave out what they need there.
    """
    state, models = state_of(graph), graph.places.models
    absent = {download.label for download in downloads(graph) if not download.is_data}
    timings = recorded_times(models)
    nodes = []
    for key, node in graph.nodes.items():
        missing = key in state.wanted
        log_line = last_line(log_of(node, models)) if missing else ""
        seconds = estimated_seconds(node, timings, log_line) if missing else None
        resources = executor.needed(node) if missing and executor is not None else ""
        status = _status(key, state)
        status = "download" if node.is_given and node.label in absent else status
        nodes.append(PlannedNode(key, status, seconds, tuple(node.needs), resources))
    return nodes


def _status(key: str, state: State) -> PlannedStatus:
    if key in state.wanted:
        return "missing"
    if key in state.done:
        return "done"
    return "left out" if key in state.left_out else "unneeded"


def dry_run_lines(
    title: str,
    nodes: Sequence[PlannedNode],
    workers: int = 1,
    where: str = "",
    missing: Sequence[Download] = (),
) -> Iterator[str]:
    """The lines of a dry run: each node's state, its estimated time, and the nodes it needs.

    Args:
        title: Title of the table.
        nodes: Its nodes.
        workers: Nodes to run in parallel.
        where: Where they would run; empty if it goes without saying.
        missing: What the Hub has and this disk does not.
    """
    estimates = {node.key: node.seconds for node in nodes if node.status == "missing"}
    number = Counter(node.status for node in nodes)
    counts = [f"{number['done']} of {len(nodes)} done", f"{number['missing']} missing"]
    others: dict[PlannedStatus, str] = {
        "download": "to download",
        "unneeded": "unneeded",
        "left out": "in rows that are not asked for",
    }
    counts += [f"{number[status]} {words}" for status, words in others.items() if number[status]]
    yield f"{title}: {', '.join(counts)}"
    width = max(len(node.key) for node in nodes)
    for node in nodes:
        yield (f"  {node.status:<10}{node.key:<{width}}  {node.estimate:<8}{node.needed}").rstrip()
    if where and estimates:
        yield f"runs on {where}"
    yield from _total(estimates, workers)
    yield from download_lines(missing)


def _total(estimates: Mapping[str, float | None], workers: int) -> Iterator[str]:
    if not estimates:
        yield "nothing to do"
        return
    known = [seconds for seconds in estimates.values() if seconds is not None]
    if known:
        workers = min(workers, len(estimates))
        parallel = f" with {counted(workers, 'worker')}" if workers > 1 else ""
        total = duration(sum(known) / workers)
        yield f"about {total}{parallel}, estimated from the recorded times of this table"
    if unknown := len(estimates) - len(known):
        yield f"no estimate (?) for {unknown}: no similar work has been timed for this table yet"
