"""Keys of a table's file that say what a training or an evaluation needs of a machine."""

import re
from typing import Annotated

from pydantic import BeforeValidator, Field, field_validator, model_validator

from kdbench.config.kinds import AtLeastOne, Settings
from kdbench.errors import nearest

_UNITS = {
    **{f"{letter}ib": 1024**power for power, letter in enumerate("kmgt", 1)},
    **{f"{letter}b": 1000**power for power, letter in enumerate("kmgt", 1)},
}
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kmgt]i?b)", re.IGNORECASE)


def _bytes_of(value: object) -> object:
    """`24GiB` is a number of bytes; a bare number could mean any unit."""
    if value is None:
        return None
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError("must be a size with its unit, such as 24GiB or 500MB")
    return int(float(match[1]) * _UNITS[match[2].lower()])


class _NestedKeys(Settings):
    """Keys inside the key of a file; an unknown one is answered with the nearest."""

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, values: object) -> object:
        for key in values if isinstance(values, dict) else ():
            if key not in cls.model_fields:
                raise ValueError(f"unknown key '{key}': {nearest(str(key), cls.model_fields)}")
        return values


class ResourceKeys(_NestedKeys):
    """What one node of a table's graph needs."""

    gpus: float | None = Field(
        None, ge=0, description="GPUs: a whole number, or a share of one such as 0.5"
    )
    cpus: AtLeastOne | None = Field(None, description="processor cores")
    memory: Annotated[int | None, BeforeValidator(_bytes_of)] = Field(
        None, description="main memory, such as 24GiB"
    )

    @field_validator("gpus")
    @classmethod
    def _whole_above_one(cls, value: float | None) -> float | None:
        if value is not None and value > 1 and value != int(value):
            raise ValueError("must be a whole number, or a share below 1")
        return value


class NodeResourceKeys(_NestedKeys):
    """What the nodes of a row, or of all rows, need; data sets are no part of a row."""

    train: ResourceKeys = Field(ResourceKeys(), description="of a training")
    evaluate: ResourceKeys = Field(ResourceKeys(), description="of an evaluation")


class TableResourceKeys(NodeResourceKeys):
    """What the nodes of a table need."""

    build: ResourceKeys = Field(ResourceKeys(), description="of the build of a data set")
