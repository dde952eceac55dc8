"""Do the missing nodes of a graph."""

from kdbench.filling.executor import Executor
from kdbench.filling.graph import Graph
from kdbench.filling.progress import ProgressView
from kdbench.filling.state import State, state_of

_SECONDS_BETWEEN_UPDATES = 0.5


def do_missing(graph: Graph, executor: Executor, view: ProgressView) -> State:
    """Do the missing nodes; a node that fails blocks only the nodes that need it.

    Returns:
        The final state: every wanted node is done, failed or blocked.
    """
    state = state_of(graph)
    try:
        while True:
            for node in state.ready(graph):
                if len(state.running) >= executor.slots:
                    break
                state.running.add(node.key)
                executor.submit(node)
            view.show(state)
            if not state.running:
                return state
            for result in executor.finished(_SECONDS_BETWEEN_UPDATES):
                state.running.discard(result.key)
                if result.error is None:
                    state.done.add(result.key)
                else:
                    state.failed[result.key] = result.error
    finally:
        executor.close()
