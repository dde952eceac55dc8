"""`kdbench fill --dry-run`, which lists the nodes and estimates the missing ones."""

from collections.abc import Iterator, Mapping

from kdbench.filling.graph import Graph
from kdbench.filling.logs import last_line, log_of
from kdbench.filling.state import state_of
from kdbench.filling.times import estimated_seconds, recorded_times
from kdbench.text import duration


def dry_run_lines(graph: Graph, workers: int = 1) -> Iterator[str]:
    """The lines of a dry run: each node's state, its estimated time, and the nodes it needs.

    Args:
        graph: The graph of the table.
        workers: Nodes to run in parallel.
    """
    state, models = state_of(graph), graph.places.models
    timings = recorded_times(models)
    estimates = {
        key: estimated_seconds(node, timings, last_line(log_of(node, models)))
        for key, node in graph.nodes.items()
        if key in state.wanted
    }
    unneeded = len(graph.nodes) - len(state.done | state.wanted)
    counts = f"{len(state.done)} of {len(graph.nodes)} done, {len(estimates)} missing"
    yield f"{graph.spec.title}: {counts}{f', {unneeded} unneeded' if unneeded else ''}"
    width = max(map(len, graph.nodes))
    for key, node in graph.nodes.items():
        status = "missing" if key in estimates else "done" if key in state.done else "unneeded"
        needs = f"needs {', '.join(node.needs)}" if node.needs else ""
        yield f"  {status:<10}{key:<{width}}  {_estimate(key, estimates):<8}{needs}".rstrip()
    yield from _total(estimates, workers)


def _estimate(key: str, estimates: Mapping[str, float | None]) -> str:
    if key not in estimates:
        return ""
    seconds = estimates[key]
    return "?" if seconds is None else duration(seconds)


def _total(estimates: Mapping[str, float | None], workers: int) -> Iterator[str]:
    if not estimates:
        yield "nothing to do"
        return
    known = [seconds for seconds in estimates.values() if seconds is not None]
    if known:
        parallel = f" with {workers} workers" if workers > 1 else ""
        total = duration(sum(known) / workers)
        yield f"about {total}{parallel}, estimated from the recorded times of this table"
    if unknown := len(estimates) - len(known):
        yield f"no estimate (?) for {unknown}: no similar work has been timed for this table yet"
