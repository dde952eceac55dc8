"""What settings are made of: value types, and groups of keys."""

import inspect
import re
from pathlib import Path
from typing import Annotated, Any, ClassVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)
from pydantic.fields import FieldInfo

from kdbench.system.names import folder_name
from kdbench.system.outline import Fact, plain_fields
from kdbench.system.safe_yaml import parse_yaml
from kdbench.system.secrets import public

_MOST_SEEDS = 10_000  # in one range


def split_list(value: object) -> object:
    """`10,20,30` on the command line is a list."""
    if isinstance(value, str):
        return [item for item in value.split(",") if item]
    return [value] if isinstance(value, int | Path) else value


def _split_seeds(value: object) -> object:
    """`1-16` among the seeds is each whole number from 1 to 16."""
    items = split_list(value)
    if not isinstance(items, list | tuple):
        return items
    seeds: list[object] = []
    for item in items:
        ends = (
            re.fullmatch(r"\s*(\d{1,18})\s*-\s*(\d{1,18})\s*", item)
            if isinstance(item, str)
            else None
        )
        if ends is None:
            seeds.append(item)
            continue
        first, last = int(ends[1]), int(ends[2])
        if not first <= last < first + _MOST_SEEDS:
            raise ValueError(f"{item}: a range must ascend, and hold {_MOST_SEEDS} seeds at most")
        seeds += range(first, last + 1)
    return seeds


def _split_mapping(value: object) -> object:
    """`a=1,b=true` on the command line is a mapping; its values are read as YAML."""
    if not isinstance(value, str):
        return value
    pairs = [item.partition("=") for item in value.split(",") if item]
    if any(not key or not equals for key, equals, _ in pairs):
        raise ValueError("must be NAME=VALUE,NAME=VALUE (or a mapping in config=FILE)")
    return {key: parse_yaml(text) for key, _, text in pairs}


def _split_marks(value: object) -> object:
    """`START,END` on the command line is a pair of texts; neither may contain a comma."""
    pair = value.split(",") if isinstance(value, str) else value
    if (
        not isinstance(pair, list | tuple)
        or len(pair) != 2
        or not all(isinstance(mark, str) and mark.strip() for mark in pair)
    ):
        raise ValueError("must be START,END, such as <think>,</think>")
    if pair[0] == pair[1]:
        raise ValueError("the two marks must differ")
    return pair


OptionMap = Annotated[dict[str, Any], BeforeValidator(_split_mapping)]
Names = Annotated[tuple[str, ...], BeforeValidator(split_list)]
Paths = Annotated[tuple[Path, ...], BeforeValidator(split_list)]
AtLeastOne = Annotated[int, Field(ge=1)]
FolderName = Annotated[str, AfterValidator(folder_name)]
Seeds = Annotated[tuple[int, ...], BeforeValidator(_split_seeds)]
Counts = Annotated[tuple[AtLeastOne, ...], BeforeValidator(split_list)]
Amounts = Annotated[tuple[Annotated[float, Field(ge=0)], ...], BeforeValidator(split_list)]
MarkPair = Annotated[tuple[str, str], BeforeValidator(_split_marks)]

CACHE = "cache:"
"""The prefix of `teacher=` that names a folder of stored teacher scores."""
FIVE = ("dolly", "self_instruct", "vicuna", "super_natural", "unnatural")
"""The five test sets of the MiniLLM and DistiLLM papers."""
ADVANCED = "Advanced"
"""The group of keys that few users need."""


class Settings(BaseModel):
    """The keys of a verb or of a method; every field is a key on the command line.

    A class may name the group under which `--help` lists the keys that it declares:
    `class DataKeys(Settings, group="Data")`. Verbs combine such classes. The class of a verb names
    the keys whose values may come first, without a key: `positional=("model",)`.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False
    )

    __group__: ClassVar[str] = "Options"
    __positional__: ClassVar[tuple[str, ...]] = ()

    @field_validator("*", mode="before")
    @classmethod
    def _plain_value(cls, value: object, info: ValidationInfo) -> object:
        """Refuse what pydantic would turn into a number, and what no file or terminal takes."""
        kinds = types_in(cls.model_fields[str(info.field_name)].annotation)
        for item in value if isinstance(value, list | tuple) else [value]:
            if isinstance(item, bool) and not kinds & {bool, Any}:
                raise ValueError(f"must not be {str(item).lower()}")
            if isinstance(item, str) and "\0" in item:
                raise ValueError("must not have a NUL character")
            if item == "" and Path in kinds and str not in kinds:  # would be the current folder
                raise ValueError("must not be empty")
            if isinstance(item, str) and Path not in kinds and not _is_utf8(item):
                raise ValueError("must be valid Unicode")
        return value

    @field_validator("*", mode="after")
    @classmethod
    def _storable_number(cls, value: object) -> object:
        """Refuse a whole number that no reader of a result accepts."""
        for item in value if isinstance(value, list | tuple) else [value]:
            if isinstance(item, int) and abs(item) >= 2**63:
                raise ValueError("must be a number below 2^63")
        return value

    def __init_subclass__(
        cls, *, group: str | None = None, positional: tuple[str, ...] | None = None, **kwargs: Any
    ):
        super().__init_subclass__(**kwargs)
        if group is not None:
            cls.__group__ = group
        if positional is not None:
            cls.__positional__ = positional


class DryRunKeys(Settings, group="Output"):
    """Whether a verb only shows what it would do."""

    dry_run: bool = Field(
        False, description="Dry run: print what would be asked and done, and write nothing"
    )


def types_in(annotation: object) -> set[object]:
    """The types that an annotation is made of."""
    inner = get_args(annotation)
    return set().union(*map(types_in, inner)) if inner else {annotation}


def _is_utf8(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)


def fields_by_key(kind: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields of settings by key: the field's alias if it has one, else its name.

    A key that is an attribute of pydantic's models, such as `json`, needs a field of another name.
    """
    return {field.alias or name: field for name, field in kind.model_fields.items()}


def key_groups(kind: type[Settings]) -> dict[str, list[str]]:
    """The keys of a class by group, in the order of its bases; `Advanced` comes last."""
    groups: dict[str, list[str]] = {}
    for base in kind.__mro__:
        groups.setdefault(vars(base).get("__group__", Settings.__group__), [])
    groups[ADVANCED] = groups.pop(ADVANCED, [])
    for name, field in kind.model_fields.items():
        groups[_group_of(kind, name)].append(field.alias or name)
    return {group: keys for group, keys in groups.items() if keys}


def given_keys(settings: Settings) -> list[str]:
    """The keys that were given a value, even if it is the default; `none` counts as no value."""
    return [
        field.alias or name
        for name, field in type(settings).model_fields.items()
        if name in settings.model_fields_set and getattr(settings, name) is not None
    ]


def given_facts(settings: Settings) -> tuple[Fact, ...]:
    """The keys that were given a value, and the values that they became, for a dry run."""
    by_key = {field.alias or name: name for name, field in type(settings).model_fields.items()}
    given = {*given_keys(settings)} - {"dry_run"}
    keys = [key for group in key_groups(type(settings)).values() for key in group if key in given]
    values = {key: public(getattr(settings, by_key[key])) for key in keys}
    return (Fact("given", plain_fields(values)),)


def _group_of(kind: type[Settings], name: str) -> str:
    """The group that the nearest class gives a field; a class without one leaves it as it was."""
    for base in kind.__mro__:
        if name in inspect.get_annotations(base) and "__group__" in vars(base):
            return str(vars(base)["__group__"])
    return Settings.__group__
