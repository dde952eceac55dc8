"""Progress of a graph: a live table on a terminal, elsewhere a line for each change."""

import sys
import time
from typing import Any

from kdbench.filling.graph import Graph
from kdbench.filling.logs import last_line, log_of
from kdbench.filling.state import State, Status
from kdbench.filling.times import estimated_seconds, recorded_times
from kdbench.system.console import report_progress
from kdbench.text import duration

_SIGNS: dict[Status, str] = {
    "done": "✓",
    "running": "▶",
    "failed": "✗",
    "blocked": "–",
    "waiting": "·",
}

_LINES_BELOW = 2  # the nodes: how many are left, and the cursor


class ProgressView:
    """Shows states of a graph on stderr, between `with` and its end.

    Args:
        graph: The graph.
        workers: Number of nodes that run in parallel.
    """

    def __init__(self, graph: Graph, workers: int = 1):
        self._graph, self._workers = graph, workers
        self._start_times: dict[str, float] = {}
        self._end_times: dict[str, float] = {}
        self._statuses: dict[str, Status] = {}
        self._live: Any = None

    def __enter__(self) -> "ProgressView":
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(stderr=True), refresh_per_second=2)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, state: State) -> None:
        """Show a state."""
        statuses = state.statuses(self._graph)
        for key in state.running:
            self._start_times.setdefault(key, time.monotonic())
        for key in self._start_times.keys() - state.running:
            self._end_times.setdefault(key, time.monotonic())
        if self._live is not None:
            self._live.update(self._table(statuses, state))
        else:
            self._print_changes(statuses, state)

    def _print_changes(self, statuses: dict[str, Status], state: State) -> None:
        for key, status in statuses.items():
            changed = status != self._statuses.get(key, "waiting")
            was_done_before = status == "done" and key not in self._start_times
            if changed and not was_done_before:
                report_progress(f"{status}: {key}{self._details(key, status, state)}")
        self._statuses = statuses

    def _details(self, key: str, status: Status, state: State) -> str:
        if status == "failed":
            log = log_of(self._graph.nodes[key], self._graph.places.models)
            return f": {state.failed[key]} (log: {log})"
        if status == "done":
            return f", {self._seconds(key)}; {self._left(state)}"
        return ""

    def _left(self, state: State) -> str:
        """How many nodes are left, and the time that they take if similar ones were timed."""
        models = self._graph.places.models
        timings = recorded_times(models)
        left = [key for key in self._graph.nodes if key in state.wanted - state.done]
        known = {}
        for key in left:
            node = self._graph.nodes[key]
            log_line = last_line(log_of(node, models)) if key in state.running else ""
            seconds = estimated_seconds(node, timings, log_line)
            if seconds is not None:
                known[key] = max(0.0, seconds - self._elapsed(key))
        text = f"{len(left)} of {len(state.wanted)} left"
        if not known:
            return text
        workers = min(self._workers, len(left))
        least = "about" if len(known) == len(left) else "at least"
        return f"{text}, {least} {duration(sum(known.values()) / workers)}"

    def _elapsed(self, key: str) -> float:
        start = self._start_times.get(key)
        return 0.0 if start is None else self._end_times.get(key, time.monotonic()) - start

    def _seconds(self, key: str) -> str:
        return f"{self._elapsed(key):.0f} s" if key in self._start_times else ""

    def _table(self, statuses: dict[str, Status], state: State) -> Any:
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, show_header=False)
        for key in self._shown(statuses):
            node, status = self._graph.nodes[key], statuses[key]
            text = state.failed.get(key, "")
            if status == "running":
                text = last_line(log_of(node, self._graph.places.models))
            cells = (_SIGNS[status], key, status, self._seconds(key))
            table.add_row(*cells, Text(text, overflow="ellipsis", no_wrap=True))
        table.caption, table.caption_justify = self._left(state), "left"
        return table

    def _shown(self, statuses: dict[str, Status]) -> list[str]:
        """The nodes to show: all that take work, or those that run or failed if there is no room.

        A live display shows only the first lines of what is longer than the terminal.
        """
        keys = [key for key in statuses if not self._graph.nodes[key].is_given]
        room = max(1, self._live.console.height - _LINES_BELOW)
        if len(keys) <= room:
            return keys
        of_interest = [key for key in keys if statuses[key] in ("running", "failed")]
        return sorted(of_interest, key=lambda key: statuses[key] != "running")[:room]
