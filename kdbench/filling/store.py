"""A node whose folders are on an object store: what it needs comes first, its outcome goes last."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kdbench.distillation.card import CARD
from kdbench.filling.build_node import LAST, BuildNode
from kdbench.filling.logs import log_of
from kdbench.filling.nodes import EvaluateNode, Node, TrainNode
from kdbench.filling.times import times_file
from kdbench.system.remote.hooks import (
    claim,
    fetch,
    fetch_checkpoint,
    join_mirrors,
    publishing,
    watch,
)


@contextmanager
def at_store(node: Node, models: Path) -> Iterator[None]:
    """Fetch what a node reads, hold its lease while it runs, and publish its outcome.

    An unfinished training is published at each of its states, and an unfinished build with what
    models have said, so that they can resume elsewhere.

    Args:
        node: The node.
        models: Folder of checkpoints and logs.

    Raises:
        InputError: The store fails, or another machine does the node.
    """
    if not node.mirrors:
        yield
        return
    join_mirrors(node.mirrors)
    with publishing([times_file(models)]):
        for place in _checkpoints(node):
            fetch_checkpoint(place, CARD)
        for place in _sets(node):
            fetch_checkpoint(place, LAST)
        watch(log_of(node, models))
        if isinstance(node, TrainNode | BuildNode):
            unfinished = node.place.with_name(f"{node.place.name}.unfinished")
            claim(node.place)
            fetch(unfinished)
            watch(unfinished)
        elif isinstance(node, EvaluateNode):
            fetch(node.place)
            watch(node.place)
        yield


def _checkpoints(node: Node) -> list[Path]:
    """The checkpoints that a node reads, and a finished one of its own."""
    if isinstance(node, TrainNode):
        settings = node.recipe.settings
        named = [settings.teacher, settings.student]
        return [node.place, *(Path(name) for name in named if name)]
    if isinstance(node, EvaluateNode):
        names = [node.settings.model, node.settings.teacher, node.settings.undistilled]
        return [Path(name) for name in names if name]
    if isinstance(node, BuildNode):
        builder = node.recipe.builder
        asked = [getattr(builder, key) for key in builder.models]
        return [Path(name) for name in asked if name]
    return []


def _sets(node: Node) -> list[Path]:
    """The folders of data sets that a node reads, and a finished one of its own."""
    if isinstance(node, TrainNode):
        data = node.recipe.settings.data
        return [] if data is None else [data]
    return [node.place, *node.sets] if isinstance(node, BuildNode) else []
