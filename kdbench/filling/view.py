"""The graph while it is worked on: live on a terminal, a line for each change elsewhere."""

import sys
import time
from pathlib import Path
from typing import Any

from kdbench.filling.graph import Graph, Node
from kdbench.filling.state import State
from kdbench.filling.work import log_of
from kdbench.system.console import report_progress

_LAST = 4096  # bytes of a log that are looked at
_SIGNS = {"done": "✓", "running": "▶", "failed": "✗", "blocked": "–", "waiting": "·"}


class View:
    """Shows states of a graph on stderr."""

    def __init__(self, graph: Graph):
        self._graph = graph
        self._begun: dict[str, float] = {}
        self._said: dict[str, str] = {}
        self._live: Any = None

    def __enter__(self) -> "View":
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
        """Show how far the graph is."""
        status = {key: _status(key, state, self._graph) for key in self._graph.nodes}
        for key, word in status.items():
            if word == "running":
                self._begun.setdefault(key, time.monotonic())
        if self._live is not None:
            self._live.update(self._table(status, state))
            return
        for key, word in status.items():
            if word != self._said.get(key, "waiting") and (word != "done" or key in self._begun):
                report_progress(f"{word}: {key}{self._after(key, word, state)}")
            self._said[key] = word

    def _after(self, key: str, word: str, state: State) -> str:
        if word == "failed":
            log = log_of(self._graph.nodes[key], self._graph.places.models)
            return f": {state.failed[key]} (log: {log})"
        if word == "done":
            return f", {self._seconds(key):.0f} s; {len(state.wanted - state.done)} left"
        return ""

    def _seconds(self, key: str) -> float:
        return time.monotonic() - self._begun.get(key, time.monotonic())

    def _table(self, status: dict[str, str], state: State) -> Any:
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, show_header=False)
        for key, word in status.items():
            node = self._graph.nodes[key]
            if node.kind == "checkpoint":
                continue
            seconds = f"{self._seconds(key):.0f} s" if key in self._begun else ""
            said = state.failed.get(key) or (self._last_line(node) if word == "running" else "")
            table.add_row(_SIGNS[word], key, word, seconds, Text(said, overflow="ellipsis"))
        return table

    def _last_line(self, node: Node) -> str:
        return last_line(log_of(node, self._graph.places.models))


def last_line(log: Path) -> str:
    """The last line of a log: its node's rate and time left."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _LAST))
        lines = file.read().decode(errors="replace").splitlines()
    return next((line for line in reversed(lines) if line.strip()), "")


def _status(key: str, state: State, graph: Graph) -> str:
    if key in state.done or key not in state.wanted:
        return "done"
    if key in state.failed:
        return "failed"
    if key in state.running:
        return "running"
    return "blocked" if key in state.blocked(graph.nodes) else "waiting"
