"""Words of the command line and keys of files become settings.

The order of precedence: the command line, then `config=FILE.yaml`, then the defaults. An unknown
key or a value of the wrong type is an `InputError` that names it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar, get_args

import yaml
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from kdbench.config.kinds import Settings, fields_by_key
from kdbench.errors import InputError, first_fault, nearest

S = TypeVar("S", bound=Settings)


def parse(kind: type[S], arguments: Sequence[str]) -> S:
    """Typed settings from command-line words (`key=value`, `--flag`).

    Raises:
        InputError: a word without `=`, an unknown or repeated key, a bad value or file.
    """
    words = read_words(arguments)
    return build(kind, with_files(words, fields_by_key(kind)))


def read_words(arguments: Sequence[str]) -> dict[str, str | bool]:
    """`key=value` words by key; `--flag` is true.

    Raises:
        InputError: a word without `=`, or a repeated key.
    """
    given: dict[str, str | bool] = {}
    for word in arguments:
        key, equals, value = word.removeprefix("--").partition("=")
        key = key.replace("-", "_")
        if not equals and not word.startswith("--"):
            raise InputError(f"'{word}' is not key=value; see --help")
        if key in given:
            raise InputError(f"{key}= is given twice")
        given[key] = value if equals else True
    return given


def with_files(
    words: Mapping[str, str | bool], fields: Mapping[str, FieldInfo]
) -> dict[str, object]:
    """The words, over the keys of `config=`.

    Raises:
        InputError: a bad file, or a `--key` that needs a value.
    """
    values = read_yaml(Path(str(words["config"]))) if "config" in words else {}
    for key, word in words.items():
        field = fields.get(key)
        if word is True and field is not None and field.annotation is not bool:
            raise InputError(f"--{key.replace('_', '-')} needs a value: {key}=…")
        if key != "config":
            values[key] = _plain(word, field) if isinstance(word, str) else word
    return values


def build(kind: type[S], values: Mapping[str, object]) -> S:
    """Typed settings from a mapping, with one-line errors.

    Raises:
        InputError: an unknown key, a missing one or a bad value.
    """
    fields = fields_by_key(kind)
    for key in values:
        if key not in fields:
            raise InputError(f"unknown key '{key}': {nearest(key, fields)}")
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        place, reason = first_fault(error)
        key = place.partition(".")[0]
        if not key:  # of several keys together
            raise InputError(reason) from None
        if key not in values:
            raise InputError(f"{key}= is missing: {fields[key].description}") from None
        raise InputError(f"{key}={values[key]}: {reason}") from None


def _plain(value: str, field: FieldInfo | None) -> str | None:
    """`none` is None where a field may be that; elsewhere it is a word like others."""
    optional = field is not None and type(None) in get_args(field.annotation)
    return None if optional and value.lower() in {"none", "null"} else value


def read_yaml(path: Path, key: str = "config") -> dict[str, object]:
    """The keys of a file of settings.

    Args:
        path: the file.
        key: the setting that named it, for messages.

    Raises:
        InputError: no such file, or no mapping in it.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{key}={path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{key}={path}: not YAML in UTF-8: {str(error).splitlines()[0]}") from None
    if not isinstance(values, dict):
        raise InputError(f"{key}={path}: must hold key: value lines")
    return {str(key): value for key, value in values.items()}
