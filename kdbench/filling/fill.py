"""Do the missing nodes of a graph."""

from collections import Counter

from kdbench.filling.executor import Executor
from kdbench.filling.graph import Graph
from kdbench.filling.progress import ProgressView
from kdbench.filling.state import State, state_of
from kdbench.filling.work import NodeResult
from kdbench.system.console import report_progress

_SECONDS_BETWEEN_UPDATES = 0.5


def do_missing(graph: Graph, executor: Executor, view: ProgressView, retries: int = 0) -> State:
    """Do the missing nodes; a node that fails blocks only the nodes that need it.

    Args:
        graph: The graph.
        executor: Where the nodes run.
        view: Shows the progress.
        retries: How often a node is started again after its process has died. A training resumes
            from its last saved state, an evaluation from its last batch.

    Returns:
        The final state: every wanted node is done, failed or blocked.
    """
    state, deaths = state_of(graph), Counter[str]()
    try:
        if state.wanted:
            executor.begin([node for key, node in graph.nodes.items() if key in state.wanted])
        while True:
            free = len(state.running) < executor.slots
            for node in executor.in_order(state.ready(graph)) if free else ():
                if len(state.running) >= executor.slots or not executor.has_room(node):
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
                elif not _goes_on(result, deaths, retries):
                    state.failed[result.key] = _reason(result, deaths[result.key])
    finally:
        executor.close()


def _goes_on(result: NodeResult, deaths: "Counter[str]", retries: int) -> bool:
    """Whether a node that has not succeeded starts again."""
    if result.preempted:
        report_progress(f"again: {result.key}: {result.error}")
        return True
    if not result.died:
        return False
    deaths[result.key] += 1
    if deaths[result.key] > retries:
        return False
    report_progress(
        f"again: {result.key}: {result.error} (retry {deaths[result.key]} of {retries})"
    )
    return True


def _reason(result: NodeResult, deaths: int) -> str:
    return f"{result.error}, {deaths} times" if deaths > 1 else str(result.error)
