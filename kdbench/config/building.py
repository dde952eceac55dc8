"""Keys and values, of command-line words and of files, become settings.

The command line takes precedence over `config=FILE.yaml`, and the file over the defaults. An
unknown key or a value of the wrong type is an `InputError` that names it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar, get_args

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from kdbench.config.kinds import Settings, fields_by_key
from kdbench.config.other_names import advice
from kdbench.config.storage import with_mirrors
from kdbench.config.words import is_flag, read_words
from kdbench.errors import InputError, first_fault, nearest_path
from kdbench.registry.plugins import KEY as PLUGINS
from kdbench.registry.plugins import load_plugins, plugin_files
from kdbench.system.safe_yaml import read_yaml_file
from kdbench.system.secrets import MASK, is_secret, without_secrets
from kdbench.text import shortened

S = TypeVar("S", bound=Settings)


def parse(kind: type[S], arguments: Sequence[str]) -> S:
    """Typed settings from command-line words.

    Raises:
        InputError: A word without a place, an unknown or repeated key, a bad value or file.
    """
    fields = fields_by_key(kind)
    return build(kind, with_files(read_words(arguments, fields, kind.__positional__), fields))


def with_files(
    words: Mapping[str, str | bool], fields: Mapping[str, FieldInfo]
) -> dict[str, object]:
    """The values of the words and, for keys that are not among them, those of `config=`.

    Raises:
        InputError: A bad file, or a `--key` that needs a value.
    """
    values = read_yaml(Path(str(words["config"]))) if "config" in words else {}
    for key, word in words.items():
        field = fields.get(key)
        if word is True and field is not None and not is_flag(field):
            raise InputError(f"--{key.replace('_', '-')} needs a value: {key}=…")
        if key != "config":
            values[key] = _plain(word, field) if isinstance(word, str) else word
    return values


def build(kind: type[S], values: Mapping[str, object]) -> S:
    """Typed settings from a mapping, with one-line errors.

    Raises:
        InputError: An unknown key, a missing one or a bad value.
    """
    fields = fields_by_key(kind)
    for key in values:
        if key not in fields:
            raise InputError(f"unknown key '{key}': {advice(key, fields)}")
    load_plugins(plugin_files(values.get(PLUGINS)))
    try:
        values = with_mirrors(kind, values, fields)
        return kind.model_validate(values)
    except ValidationError as error:
        place, reason = first_fault(error)
        key = place.partition(".")[0]
        if not key:  # about several keys together
            raise InputError(reason) from None
        if key not in values:
            description = fields[key].description or ""
            raise InputError(f"{key}= is missing: {_uncapitalised(description)}") from None
        raise InputError(f"{key}={shown(key, values[key])}: {reason}") from None


def shown(key: str, value: object) -> str:
    """A value for an error message: not too long, and without a password of the user."""
    return MASK if is_secret(key) else shortened(without_secrets(str(value)[:1000]))


def _plain(value: str, field: FieldInfo | None) -> str | None:
    """`none` is None if the field may be None; otherwise it is text like any other."""
    optional = field is not None and type(None) in get_args(field.annotation)
    return None if optional and value.lower() in {"none", "null"} else value


def read_yaml(path: Path, key: str = "config") -> dict[str, object]:
    """The keys and values of a YAML file.

    Args:
        path: File to read.
        key: Setting that named the file, for messages.

    Raises:
        InputError: There is no such file, or it holds no mapping, or it names code to run.
    """
    try:
        values = read_yaml_file(path)
    except OSError as error:
        raise InputError(f"{key}={path}: {error.strerror}{nearest_path(path)}") from None
    except ValueError as error:
        raise InputError(f"{key}={path}: {error}") from None
    if not isinstance(values, dict):
        raise InputError(f"{key}={path}: must hold key: value lines")
    if PLUGINS in values:  # a file may come from anywhere
        raise InputError(
            f"{key}={path}: {PLUGINS}: runs code, so a file cannot name it; give {PLUGINS}=FILE.py "
            "yourself"
        )
    return {str(name): value for name, value in values.items()}


def _uncapitalised(text: str) -> str:
    """The text with a small first letter, unless its first word is an abbreviation."""
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]
