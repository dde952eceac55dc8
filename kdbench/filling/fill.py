"""Fill a table: do what is missing of its graph, then draw it."""

from kdbench.filling.executor import Executor
from kdbench.filling.graph import Graph
from kdbench.filling.state import State, state_of
from kdbench.filling.view import View

_SECONDS_BETWEEN_LOOKS = 0.5


def work_through(graph: Graph, executor: Executor, view: View) -> State:
    """Do what is missing; a node that fails holds up those alone that need it."""
    state = state_of(graph)
    try:
        while True:
            for node in state.ready(graph.nodes):
                if len(state.running) >= executor.slots:
                    break
                state.running.add(node.key)
                executor.submit(node)
            view.show(state)
            if not state.running:
                return state
            for done in executor.finished(_SECONDS_BETWEEN_LOOKS):
                state.running.discard(done.node)
                if done.error is None:
                    state.done.add(done.node)
                else:
                    state.failed[done.node] = done.error
    finally:
        executor.close()
