"""The checkpoints of a table's rows, for what measures them in other ways than the table."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kdbench.config import FillSettings
from kdbench.distillation.card import CARD
from kdbench.errors import InputError
from kdbench.filling.graph import Graph
from kdbench.filling.nodes import CheckpointNode, TrainNode
from kdbench.filling.spec import read_spec
from kdbench.filling.spec_files import find_spec
from kdbench.filling.table import places_of
from kdbench.filling.worlds import world_of
from kdbench.system.remote.hooks import fetch_checkpoint


@dataclass(frozen=True)
class RowCheckpoint:
    """A checkpoint of a table's row.

    Attributes:
        row: Label of the row, which the checkpoints of all training seeds share.
        name: Name of the model in results.
        model: Folder of the checkpoint, or its name on the hub.
        card: File of its card, if another tool trained it.
        seed: Training seed; None for a given checkpoint.
        exists: Whether it has been trained.
    """

    row: str
    name: str
    model: str
    card: Path | None
    seed: int | None
    exists: bool


@dataclass(frozen=True)
class TableCheckpoints:
    """The rows of a table as checkpoints.

    Attributes:
        file: The table's file.
        title: Title of the table.
        setting: Setting that its rows share.
        undistilled: Label of the row that is the floor of fidelity; None if there is none.
        rows: Checkpoints of the rows, in order.
        evaluate: Keys of its evaluations.
        tasks: Tasks of its means.
        data: Folder of the data sets; None for those of the hub.
        results: Folder of the results.
    """

    file: Path
    title: str
    setting: str
    undistilled: str | None
    rows: tuple[RowCheckpoint, ...]
    evaluate: Mapping[str, Any] = field(repr=False)
    tasks: tuple[str, ...]
    data: Path | None
    results: Path


def table_checkpoints(settings: FillSettings) -> TableCheckpoints:
    """Read which checkpoints a table has; nothing is trained.

    Args:
        settings: The table, and its folders.

    Raises:
        InputError: The table's file is wrong, or its world does not exist.
    """
    file = find_spec(settings.table)
    spec = read_spec(file, settings.changes)
    world = world_of(spec)
    if world is not None and world.missing():
        raise InputError(
            f"{file}: its world does not exist; kdbench fill {settings.table} makes it"
        )
    places = places_of(settings, spec, file.stem)
    graph = Graph(spec, places, {"plugins": settings.plugins} if settings.plugins else None)
    return TableCheckpoints(
        file=file,
        title=spec.title,
        setting=graph.setting,
        undistilled=spec.undistilled,
        rows=tuple(_row(model) for model in graph.rows),
        evaluate=spec.evaluate,
        tasks=spec.tasks,
        data=places.data,
        results=places.results,
    )


def _row(model: CheckpointNode | TrainNode) -> RowCheckpoint:
    if isinstance(model, CheckpointNode):
        return RowCheckpoint(model.row, model.label, str(model.place), model.card, None, True)
    fetch_checkpoint(model.place, CARD)
    seed = model.recipe.settings.seed
    return RowCheckpoint(model.row, model.label, str(model.place), None, seed, model.place.exists())
