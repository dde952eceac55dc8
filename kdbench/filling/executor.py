"""Where nodes run: the interface of an executor."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import ClassVar

from kdbench.config import Settings
from kdbench.filling.nodes import Node
from kdbench.filling.resources import Resources
from kdbench.filling.work import NodeResult

NeedsOf = Callable[[Node], Resources]


class NoOptions(Settings):
    """An executor without options of its own."""


def no_needs(_: Node) -> Resources:
    """Nothing: what a node needs if nobody says."""
    return Resources()


class Executor(ABC):
    """Runs nodes; those of a cluster have their files on a disk that all its machines share.

    What runs a node calls `kdbench.filling.work.do(node, models)`, which holds the node's lock.

    Attributes:
        options: The keys of `executor_options=`.
        package: Package that it needs; empty if it needs none.
        extra: Extra of kdbench that installs it.
        slots: Number of nodes that it takes at a time.
        has_gpus: Whether there are GPUs where the nodes run; None if that is not known yet.

    Args:
        workers: Most nodes to run at a time; None for its own default.
        models: Folder of checkpoints and logs.
        needs: What a node needs.
        options: Its options, checked.
    """

    options: ClassVar[type[Settings]] = NoOptions
    package: ClassVar[str] = ""
    extra: ClassVar[str] = ""

    slots: int
    has_gpus: bool | None = None

    def __init__(
        self,
        workers: int | None,
        models: Path,
        needs: NeedsOf = no_needs,
        options: Settings | None = None,
    ):
        self.workers, self.models, self.needs, self.given = workers, models, needs, options

    def describe(self) -> str:
        """What it is, for the plan; empty if there is nothing to say."""
        return ""

    def needed(self, node: Node) -> str:
        """What a node needs here, for the plan; empty if there is nothing to say."""
        return self.needs(node).text(self.has_gpus)

    def begin(self, nodes: Sequence[Node]) -> None:  # noqa: B027 - most have nothing to prepare
        """Prepare for nodes, before the first is submitted.

        Raises:
            InputError: A node can never run here, or the executor cannot be used.
        """

    def has_room(self, node: Node) -> bool:
        """Whether a node would start at once, or wait in a queue that the executor looks after."""
        del node
        return True

    def in_order(self, nodes: Iterable[Node]) -> Iterable[Node]:
        """Nodes that should start now, of those that can; some, if none is running."""
        return nodes

    @abstractmethod
    def submit(self, node: Node) -> None:
        """Start a node whose needs are done."""

    @abstractmethod
    def finished(self, timeout: float) -> list[NodeResult]:
        """Wait for a node to end.

        Args:
            timeout: Seconds to wait at most.

        Returns:
            The results of the nodes that have ended since the last call.

        Raises:
            InputError: The executor itself has failed for good.
        """

    @abstractmethod
    def close(self) -> None:
        """Stop the nodes that are running, unless they belong to a queue that outlives it."""
