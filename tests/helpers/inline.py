"""Filling a table in this process, node after node."""

from pathlib import Path

from kdbench.filling.executor import Executor
from kdbench.filling.fill import do_missing
from kdbench.filling.graph import Graph
from kdbench.filling.nodes import Node
from kdbench.filling.progress import ProgressView
from kdbench.filling.work import NodeResult, do


class Inline(Executor):
    """An executor that runs each node immediately, in this process."""

    def __init__(self, models: Path, slots: int = 1):
        super().__init__(slots, models)
        self.slots, self._models = slots, models
        self.begun: list[str] = []
        self._ended: list[NodeResult] = []

    def submit(self, node: Node) -> None:
        self.begun.append(node.key)
        self._ended.append(do(node, self._models))

    def finished(self, timeout: float) -> list[NodeResult]:
        del timeout
        ended, self._ended = self._ended, []
        return ended

    def close(self) -> None:
        pass


def worked(graph: Graph) -> tuple[list[str], dict[str, str]]:
    """Do what is missing; the nodes that were begun, and what went wrong."""
    executor = Inline(graph.places.models)
    with ProgressView(graph) as view:
        state = do_missing(graph, executor, view)
    return executor.begun, state.failed
