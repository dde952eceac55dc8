"""How far a graph is: what is done, running, failed or still wanted."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from kdbench.filling.graph import Graph, Node
from kdbench.filling.work import is_done


@dataclass
class State:
    """How far a graph is.

    Attributes:
        wanted: keys of nodes that results are waiting for, and these themselves.
        done: keys of nodes that are there.
        running: those that are worked on.
        failed: what went wrong, by key.
    """

    wanted: frozenset[str] = frozenset()
    done: set[str] = field(default_factory=set)
    running: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)

    def ready(self, nodes: Mapping[str, Node]) -> Iterator[Node]:
        """What can begin now, in order."""
        begun = self.done | self.running | set(self.failed)
        for node in nodes.values():
            if node.key in self.wanted - begun and set(node.needs) <= self.done:
                yield node

    def blocked(self, nodes: Mapping[str, Node]) -> dict[str, str]:
        """Nodes that cannot be done, and the failed one each waits for."""
        found = dict.fromkeys(self.failed, "")
        for node in nodes.values():
            cause = next((one for one in node.needs if one in found), None)
            if node.key in self.wanted - set(found) and cause is not None:
                found[node.key] = found[cause] or cause
        return {key: cause for key, cause in found.items() if cause}


def state_of(graph: Graph) -> State:
    """What is there."""
    done = {node.key for node in graph.nodes.values() if is_done(node)}
    return State(_wanted(graph.nodes, done), done)


def _wanted(nodes: Mapping[str, Node], done: set[str]) -> frozenset[str]:
    """A checkpoint whose measurements are all there is not made again."""
    found: set[str] = set()
    open_ends = [node.key for node in nodes.values() if node.kind == "evaluate"]
    while open_ends:
        key = open_ends.pop()
        if key not in done | found:
            found.add(key)
            open_ends += nodes[key].needs
    return frozenset(found)
