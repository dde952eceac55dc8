"""The rows of a table as its file names them, without a look at any model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdbench.distillation.recipe import make_recipe
from kdbench.errors import faults_in
from kdbench.filling.keys import training_keys
from kdbench.filling.spec import Entry, TableSpec
from kdbench.methods import Method
from kdbench.registry.plugins import KEY as PLUGINS


@dataclass(frozen=True)
class SpecRow:
    """A row of a table's file.

    Attributes:
        entry: The row in the file.
        label: Its label; None for a checkpoint whose card has it.
        method: The method of its training; None for a checkpoint.
        train_set: What its training learns from; None for a checkpoint.
    """

    entry: Entry
    label: str | None
    method: Method | None
    train_set: str | None = None


def spec_rows(spec: TableSpec, execution: Mapping[str, Any] | None = None) -> list[SpecRow]:
    """The rows of a table, in order.

    Args:
        spec: Specification of the table.
        execution: Keys of every training that do not affect results, such as `plugins`.

    Raises:
        InputError: The training of a row has an unknown method or key.
    """
    return [spec_row(spec, entry, execution) for entry in spec.rows]


def spec_row(
    spec: TableSpec,
    entry: Entry,
    execution: Mapping[str, Any] | None = None,
    label: str | None = None,
) -> SpecRow:
    """A model of a table's file.

    Args:
        spec: Specification of the table.
        entry: The model in the file.
        execution: Keys of every training that do not affect results.
        label: Its label if the file names none.

    Raises:
        InputError: Its training has an unknown method or key.
    """
    label = entry.label or label
    if entry.train is None:
        return SpecRow(entry, label, None)
    start = {"student": "of the table"}  # which model it is decides nothing here
    keys = training_keys(spec, entry)
    with faults_in(place_of(spec, entry)):
        recipe = make_recipe({**start, **keys, **(execution or {})})
    label = label or recipe.settings.label or recipe.method.title
    return SpecRow(entry, label, recipe.method, recipe.settings.train_set)


def place_of(spec: TableSpec, entry: Entry) -> str:
    """Where an entry is in its file, for messages: `row 3 (toy/kd)`."""
    keys = entry.train or {}
    name = entry.label or keys.get("recipe") or keys.get("method")
    places = {id(spec.teacher): "teacher", id(spec.student): "student"}
    places |= {id(row): f"row {number}" for number, row in enumerate(spec.rows, 1)}
    return f"{places[id(entry)]} ({name})" if name else places[id(entry)]


def plugins_of(files: Sequence[Path]) -> dict[str, Any]:
    """The key of the files with methods that a table's rows may have."""
    return {PLUGINS: files} if files else {}


def labels_of(rows: Sequence[SpecRow]) -> list[str]:
    """The known labels of rows."""
    return [row.label for row in rows if row.label is not None]
