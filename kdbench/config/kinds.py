"""What settings are made of."""

from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.fields import FieldInfo


def _split(value: object) -> object:
    """`10,20,30` on the command line is a list."""
    if isinstance(value, str):
        return [part for part in value.split(",") if part]
    return [value] if isinstance(value, int | Path) else value


def _settings(value: object) -> object:
    """`a=1,b=true` on the command line is a mapping; its values are YAML's."""
    if not isinstance(value, str):
        return value
    pairs = [part.partition("=") for part in value.split(",") if part]
    if any(not key or not equals for key, equals, _ in pairs):
        raise ValueError("must be NAME=VALUE,NAME=VALUE (or a mapping in config=FILE)")
    return {key: yaml.safe_load(word) for key, _, word in pairs}


Options = Annotated[dict[str, Any], BeforeValidator(_settings)]
Names = Annotated[tuple[str, ...], BeforeValidator(_split)]
AtLeastOne = Annotated[int, Field(ge=1)]
Seeds = Annotated[tuple[int, ...], BeforeValidator(_split)]

CACHE = "cache:"  # what teacher= begins with where its scores are on disk
FIVE = ("dolly", "self_instruct", "vicuna", "super_natural", "unnatural")


class Settings(BaseModel):
    """What one verb takes. Every field is a key of the command line."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False
    )


def fields_by_key(kind: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields of settings by their key: the field's alias if it has one, else its name.

    A key that is an attribute of pydantic's models, such as `json`, needs a field of another name.
    """
    return {field.alias or name: field for name, field in kind.model_fields.items()}
