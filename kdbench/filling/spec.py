"""A table's specification: `TABLE.yaml`, read and checked."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator

from kdbench.config import FIVE, Names, Settings, read_yaml
from kdbench.errors import InputError, first_fault, nearest
from kdbench.metrics import ALL
from kdbench.system.bundled import bundled

_LABEL = re.compile(r"[\w+(\[][\w.+()\[\] -]*")


def _checkpoint_of(value: object) -> object:
    """A bare word is a checkpoint."""
    return {"checkpoint": value} if isinstance(value, str) else value


class Entry(Settings):
    """A model of the table: a checkpoint that is there, or one to train."""

    label: str | None = Field(None, description="of the row (default: the method's)")
    checkpoint: str | None = Field(None, description="folder, or name on the hub")
    train: dict[str, Any] | None = Field(None, description="keys of kdbench train")

    @field_validator("label")
    @classmethod
    def _folder_name(cls, value: str | None) -> str | None:
        if value is not None and not _LABEL.fullmatch(value):
            raise ValueError("letters, digits, spaces and . _ + - ( ) [ ] only")
        return value

    @model_validator(mode="after")
    def _one_of_two(self) -> "Entry":
        if (self.checkpoint is None) == (self.train is None):
            raise ValueError("either checkpoint: or train:")
        return self


Model = Annotated[Entry, BeforeValidator(_checkpoint_of)]


class TableSpec(Settings):
    """`TABLE.yaml`.

    `train` and `evaluate` hold keys of `kdbench train` and `kdbench eval` for all rows; a row's own
    `train` goes first.
    """

    title: str = Field(description="of the table")
    setting: str | None = Field(None, description="group of its rows (default: the title)")
    teacher: Model = Field(description="checkpoint:, or train: with student:")
    student: Model | None = Field(
        None, description="what trained rows start from, unless their train has student:"
    )
    undistilled: str | None = Field(None, description="label of the row that is fidelity's floor")
    rows: tuple[Model, ...] = Field((), description="in the order of the table")
    train: dict[str, Any] = Field({}, description="keys of kdbench train, for every trained row")
    evaluate: dict[str, Any] = Field(
        {},
        description="keys of kdbench eval, for every row (default: metrics: [all])",
        validate_default=True,
    )
    data: Path | None = Field(None, description="folder of the data sets")
    models: Path | None = Field(None, description="folder of checkpoints (default: runs/NAME)")
    results: Path | None = Field(None, description="folder of results (default: results/NAME)")
    tasks: Names = Field(FIVE, description="tasks by name, or paths of lm-eval YAML files")
    columns: Names = Field((), description="of the drawn table, as for kdbench table")
    published: Names = Field((), description="groups of published rows to show, by id")

    @field_validator("evaluate")
    @classmethod
    def _all_metrics(cls, value: dict[str, Any]) -> dict[str, Any]:
        """A table measures all metrics, unless it names those that it wants."""
        metrics = value.get("metrics") or [ALL]
        return {**value, "metrics": metrics.split(",") if isinstance(metrics, str) else metrics}


def read_spec(path: Path, changes: Mapping[str, str] | None = None) -> TableSpec:
    """Read a specification.

    Args:
        path: the file.
        changes: values that go over the file's, by dotted key: `evaluate.limit`.

    Raises:
        InputError: no such file, or something in it that is wrong; the line names the place.
    """
    values = read_yaml(path, "table")
    for dotted, word in (changes or {}).items():
        _change(values, dotted, word)
    for key in values:
        if key not in TableSpec.model_fields:
            raise InputError(f"{path}: unknown key '{key}': {nearest(key, TableSpec.model_fields)}")
    try:
        return TableSpec.model_validate(values)
    except ValidationError as error:
        place, reason = first_fault(error)
        raise InputError(f"{path}: {place or 'the file'}: {reason}") from None


def _change(values: dict[str, Any], dotted: str, word: str) -> None:
    """Put a value of the command line in its place; it is read as YAML is."""
    *path, last = dotted.split(".")
    for part in path:
        inner = values.setdefault(part, {})
        if not isinstance(inner, dict):
            raise InputError(f"{dotted}={word}: '{part}' holds no keys in this table")
        values = inner
    values[last] = yaml.safe_load(word)


def tables() -> dict[str, Path]:
    """The bundled specifications by name, such as `toy`."""
    folder = bundled("baselines") / "tables"
    return {file.stem: file for file in sorted(folder.glob("[!_]*.yaml"))}


def find_spec(word: str) -> Path:
    """The file that a word names: a path, or the name of a bundled one.

    Raises:
        InputError: there is neither.
    """
    known = tables()
    if word in known:
        return known[word]
    if Path(word).is_file():
        return Path(word)
    raise InputError(f"unknown table '{word}', and no such file: {nearest(word, known)}")
