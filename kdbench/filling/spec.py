"""The specification of a table: `TABLE.yaml`, read and checked."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)

from kdbench.config import FIVE, Names, Settings
from kdbench.config.extending import read_chain
from kdbench.config.resources import NodeResourceKeys, ResourceKeys, TableResourceKeys
from kdbench.errors import InputError, first_fault, nearest
from kdbench.filling.spec_files import base_of
from kdbench.methods import Mechanism
from kdbench.metrics import ALL
from kdbench.system.safe_yaml import parse_yaml

TEACHER, STUDENT = "Teacher", "Student"
"""Labels of the teacher and the initial student, unless the file names others."""
_NOT_INHERITED = {"results"}
"""A table that extends another draws its own `TABLE.md`, which it must not put over the other's."""
_SET = re.compile(r"\w[\w.+-]*")
_LABEL = re.compile(r"[\w+(\[][\w.+()\[\] -]*")


def _checkpoint_of(value: object) -> object:
    """A bare string names a checkpoint."""
    return {"checkpoint": value} if isinstance(value, str) else value


class Entry(Settings):
    """A model of the table: an existing checkpoint, or one to train."""

    label: str | None = Field(None, description="label of the row (default: the method's title)")
    checkpoint: str | None = Field(
        None, description="folder of a checkpoint, or its name on the hub"
    )
    card: Path | None = Field(
        None,
        description="card of a checkpoint that another tool trained (default: kdbench.yaml next "
        "to the weights)",
    )
    unsafe_pickle: bool = Field(
        False, description="permission to read pickle weights (*.bin) of the checkpoint"
    )
    reported_as: str | None = Field(
        None,
        description="published row that reports this model, for spread: (default: that of the "
        "row's label)",
    )
    train: dict[str, Any] | None = Field(None, description="keys of `kdbench train`")
    against: str | None = Field(
        None, description="label of the row with which the method's mechanism is compared"
    )
    resources: NodeResourceKeys = Field(
        NodeResourceKeys(), description="what its training and its evaluation need"
    )
    mechanism: Mechanism | None = Field(
        None,
        description="what this row should move, in place of its method's: measure:, direction: "
        "(up or down), idea:",
    )

    @field_validator("label")
    @classmethod
    def _folder_name(cls, value: str | None) -> str | None:
        if value is not None and not _LABEL.fullmatch(value):
            raise ValueError("use only letters, digits, spaces and . _ + - ( ) [ ]")
        return value

    @model_validator(mode="after")
    def _one_of_two(self) -> "Entry":
        if (self.checkpoint is None) == (self.train is None):
            raise ValueError("give either checkpoint: or train:")
        if self.card is not None and self.checkpoint is None:
            raise ValueError("card: is for a checkpoint:; kdbench train writes its own")
        if self.unsafe_pickle and self.checkpoint is None:
            raise ValueError("unsafe_pickle: is for a checkpoint:; put it below train: instead")
        return self


class WorldKeys(Settings):
    """What the table needs made before it is filled."""

    kind: str = Field(description="name of a world: toy or toy-extras")
    folder: Path = Field(description="folder of the world")


Model = Annotated[Entry, BeforeValidator(_checkpoint_of)]
TrainSeeds = Annotated[int, Field(ge=1, le=100)]
_LARGEST_SEED = 2**32 - 1


class TableSpec(Settings):
    """`TABLE.yaml`.

    `train` and `evaluate` hold keys of `kdbench train` and `kdbench eval` for all rows; the keys of
    a row's own `train` override them.
    """

    title: str = Field(description="title of the table")
    setting: str | None = Field(None, description="setting of its rows (default: the title)")
    teacher: Model = Field(description="teacher: checkpoint:, or train: with student:")
    student: Model | None = Field(
        None, description="initial student of the trained rows, unless their train has student:"
    )
    undistilled: str | None = Field(
        None, description="label of the row that is the floor of fidelity"
    )
    rows: tuple[Model, ...] = Field((), description="rows of the table, in order")
    data_sets: dict[str, dict[str, Any]] = Field(
        {},
        description="data sets to build, by name: builder: and keys of `kdbench build`; a training "
        "learns from one with train_set: built:NAME",
    )
    train_seeds: tuple[Annotated[int, Field(ge=0, le=_LARGEST_SEED)], ...] | TrainSeeds = Field(
        1,
        description="how many training seeds each trained row has, counted up from its own seed, "
        "or a list of seeds",
    )
    train: dict[str, Any] = Field({}, description="keys of `kdbench train` for all trained rows")
    evaluate: dict[str, Any] = Field(
        {},
        description="keys of `kdbench eval` for all rows (default: metrics: [all])",
        validate_default=True,
    )
    resources: TableResourceKeys = Field(
        TableResourceKeys(),
        description="what nodes need: train:, evaluate: and build:, each with gpus:, cpus:, "
        "memory:",
    )
    world: WorldKeys | None = Field(
        None, description="data and models that are made first if they do not exist"
    )
    data: Path | None = Field(None, description="folder of the data sets")
    models: Path | None = Field(None, description="folder of checkpoints (default: runs/NAME)")
    results: Path | None = Field(None, description="folder of results (default: results/NAME)")
    tasks: Names = Field(
        FIVE, min_length=1, description="names of tasks, lm-eval YAML files, or files of prompts"
    )
    extra_tasks: Names = Field(
        (), description="tasks that are measured too, and are no part of AVG and other means"
    )
    mechanisms: bool = Field(
        True, description="whether to show what methods moved, of rows with against:"
    )
    columns: Names = Field((), description="columns of the table, as for `kdbench table`")
    published: Names = Field((), description="ids of the groups of published rows to show")
    certainty: Literal["verified", "second_hand", "all"] = Field(
        "verified", description="which published numbers to show, as published= of `kdbench table`"
    )

    spread: bool = Field(
        False,
        description="whether to show, below the table, each row's scores next to what the groups "
        "of published: report of it, and how far their sources disagree",
    )

    @field_validator("spread")
    @classmethod
    def _has_groups(cls, value: bool, others: ValidationInfo) -> bool:
        if value and not others.data.get("published"):
            raise ValueError("needs published:, the group of rows to compare with")
        return value

    @field_validator("train_seeds", mode="wrap")
    @classmethod
    def _number_or_different_seeds(
        cls, value: Any, check: ValidatorFunctionWrapHandler
    ) -> int | tuple[int, ...]:
        try:
            seeds: int | tuple[int, ...] = check(value)
        except ValidationError as error:  # which speaks of each type of the union
            raise ValueError("must be a number from 1 to 100, or a list of seeds") from error
        if isinstance(seeds, tuple) and (not seeds or len(set(seeds)) < len(seeds)):
            raise ValueError("seeds must be unique and non-empty")
        return seeds

    @field_validator("data_sets")
    @classmethod
    def _named_builders(cls, value: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for name, keys in value.items():
            if not _SET.fullmatch(name):
                raise ValueError(f"'{name}': use only letters, digits and . _ + - in a name")
            if "builder" not in keys:
                raise ValueError(f"{name}: builder: is missing; kdbench builders lists them")
            if "resources" in keys:
                _check_resources(name, keys["resources"])
        return value

    @field_validator("extra_tasks")
    @classmethod
    def _no_task_twice(cls, value: tuple[str, ...], others: ValidationInfo) -> tuple[str, ...]:
        """A further task would take one of the table's own out of its means."""
        if twice := [name for name in value if name in others.data.get("tasks", ())]:
            raise ValueError(f"'{twice[0]}' is one of tasks: too; leave it out of one of them")
        return value

    @field_validator("evaluate")
    @classmethod
    def _all_metrics(cls, value: dict[str, Any]) -> dict[str, Any]:
        """A table measures all metrics, unless it names those that it wants."""
        metrics = value.get("metrics") or [ALL]
        metrics = metrics.split(",") if isinstance(metrics, str) else metrics
        if not isinstance(metrics, list) or not all(isinstance(name, str) for name in metrics):
            raise ValueError("metrics: must be names of metrics")
        return {**value, "metrics": metrics}


def _check_resources(name: str, keys: object) -> None:
    """Check what the build of a data set needs.

    Raises:
        ValueError: A key or value is wrong.
    """
    try:
        ResourceKeys.model_validate(keys)
    except ValidationError as error:
        place, reason = first_fault(error)
        raise ValueError(f"{name}: resources: {f'{place}: ' if place else ''}{reason}") from error


def read_spec(path: Path, changes: Mapping[str, str] | None = None) -> TableSpec:
    """Read a specification, over those that it extends.

    Args:
        path: The file.
        changes: Values that override those of the file, by dotted key: `evaluate.limit`.

    Raises:
        InputError: the file or its base does not exist, or a key or value in one of them is wrong.
    """
    values: dict[str, Any] = {}
    places: dict[str, Path] = {}
    upper, *bases = read_chain(path, "table", base_of)
    for part in reversed(bases):
        values |= {key: value for key, value in part.values.items() if key not in _NOT_INHERITED}
        places |= dict.fromkeys(part.values, part.file)
    places = {key: file for key, file in places.items() if key not in upper.values}
    return make_spec(values | upper.values, path, changes, places)


def make_spec(
    values: dict[str, Any],
    place: Path | str,
    changes: Mapping[str, str] | None = None,
    places: Mapping[str, Path] | None = None,
) -> TableSpec:
    """Check a specification.

    Args:
        values: Its keys and values.
        place: Where they are from, for messages.
        changes: Values that override them, by dotted key: `evaluate.limit`.
        places: Where single keys are from, if elsewhere.

    Raises:
        InputError: a key or a value is wrong.
    """
    places = dict(places or {})
    for dotted_key, text in (changes or {}).items():
        _change(values, dotted_key, text)
        places.pop(dotted_key.partition(".")[0], None)
    for key in values:
        if key not in TableSpec.model_fields:
            raise InputError(
                f"{places.get(key, place)}: unknown key '{key}': "
                f"{nearest(key, TableSpec.model_fields)}"
            )
    try:
        return TableSpec.model_validate(values)
    except ValidationError as error:
        key, reason = first_fault(error)
        of = places.get(key.partition(".")[0], place)
        raise InputError(f"{of}: {key or 'the file'}: {reason}") from None


def _change(values: dict[str, Any], dotted_key: str, text: str) -> None:
    """Set a key to a value of the command line, which is read as YAML."""
    *parents, last = dotted_key.split(".")
    for parent in parents:
        children = values.setdefault(parent, {})
        if not isinstance(children, dict):
            raise InputError(f"{dotted_key}={text}: '{parent}' has no keys of its own")
        values = children
    try:
        values[last] = parse_yaml(text)
    except ValueError as error:
        raise InputError(f"{dotted_key}={text}: {error}") from None
