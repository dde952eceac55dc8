"""The state of a graph: which nodes are done, running, failed, blocked or waiting."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from kdbench.filling.graph import Graph
from kdbench.filling.nodes import Node
from kdbench.system.remote.hooks import listed_once

Status = Literal["done", "running", "failed", "blocked", "waiting"]


@dataclass
class State:
    """The state of a graph; nodes are named by their keys.

    Attributes:
        wanted: Nodes that are asked for and missing, and the missing nodes that they need.
        done: Nodes whose outcomes exist.
        running: Nodes that are running.
        failed: What went wrong, by node.
        left_out: Missing nodes that only rows need that are not asked for.
    """

    wanted: frozenset[str] = frozenset()
    done: set[str] = field(default_factory=set)
    running: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)
    left_out: frozenset[str] = frozenset()

    def ready(self, graph: Graph) -> Iterator[Node]:
        """The nodes that can start now, in the order of the graph."""
        started = self.done | self.running | set(self.failed)
        for node in graph.nodes.values():
            if node.key in self.wanted - started and set(node.needs) <= self.done:
                yield node

    def blocked(self, graph: Graph) -> dict[str, str]:
        """The nodes that cannot start, and for each the failed node that it needs."""
        causes = {key: key for key in self.failed}
        for node in graph.nodes.values():
            cause = next((causes[key] for key in node.needs if key in causes), None)
            if node.key in self.wanted and node.key not in causes and cause is not None:
                causes[node.key] = cause
        return {key: cause for key, cause in causes.items() if key not in self.failed}

    def statuses(self, graph: Graph) -> dict[str, Status]:
        """The status of each node; a node that nothing needs counts as done."""
        blocked = self.blocked(graph)
        return {key: self._status(key, key in blocked) for key in graph.nodes}

    def _status(self, key: str, is_blocked: bool) -> Status:
        if key in self.done or key not in self.wanted:
            return "done"
        if key in self.failed:
            return "failed"
        if key in self.running:
            return "running"
        return "blocked" if is_blocked else "waiting"


def state_of(graph: Graph) -> State:
    """The state of a graph on disk, before anything runs."""
    with listed_once():
        done = {node.key for node in graph.nodes.values() if node.is_done()}
    wanted = _wanted(graph, done, graph.goals)
    evaluations = [node.key for node in graph.evaluations.values()]
    left_out = _wanted(graph, done, evaluations) - wanted
    return State(wanted, done, left_out=left_out)


def _wanted(graph: Graph, done: set[str], goals: Iterable[str]) -> frozenset[str]:
    """A checkpoint is wanted only while an evaluation of it is missing, or if it is a goal."""
    wanted: set[str] = set()
    keys = list(goals)
    while keys:
        key = keys.pop()
        if key not in done | wanted:
            wanted.add(key)
            keys += graph.nodes[key].needs
    return frozenset(wanted)
