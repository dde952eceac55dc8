"""What `kdbench VERB --help` says: the keys of a verb's settings, their defaults and units."""

import importlib
from collections.abc import Iterator, Sequence
from typing import Any, Literal, get_args, get_origin

from kdbench.config.kinds import fields_by_key


def help_lines(
    name: str, summary: str, settings: str | None, words: Sequence[str]
) -> Iterator[str]:
    """The help of a verb, line by line.

    Args:
        name: of the verb.
        summary: what it does.
        settings: the class whose fields are its keys, in `kdbench.config` or as `module:Class`.
        words: given beside --help; `method=` names a method whose keys are told too.

    Raises:
        InputError: no such method.
    """
    yield f"kdbench {name} key=value …\n\n{summary}\n"
    if settings is None:
        return
    module, _, kind = settings.rpartition(":")
    yield from _keys(getattr(importlib.import_module(module or "kdbench.config"), kind))
    yield f"  {'config=':<24}YAML file of such keys; the command line goes first"
    if name == "train":
        yield from _method_keys(words)


def _keys(kind: Any) -> Iterator[str]:
    for key, field in fields_by_key(kind).items():
        silent = field.default in (None, (), "") and not field.is_required()
        default = "required" if field.is_required() else f"default {plain(field.default)}"
        choices = "|".join(_choices(field.annotation))
        words = [field.description, f"[{choices}]" if choices else "", f"({default})"]
        yield f"  {key + '=':<24}{' '.join(filter(None, words[: 2 if silent else 3]))}"


def _choices(annotation: Any) -> list[str]:
    """The words that a setting can be."""
    found = get_args(annotation)
    if get_origin(annotation) is Literal:
        return [str(one) for one in found]
    return [word for one in found if get_origin(one) is Literal for word in _choices(one)]


def _method_keys(words: Sequence[str]) -> Iterator[str]:
    named = [word.partition("=")[2] for word in words if word.startswith("method=")]
    if not named:
        yield "\nA method has keys of its own: kdbench train method=NAME --help"
        return
    from kdbench.methods import methods

    kind = methods.get(named[0])
    yield f"\nmethod={named[0]}: {first_line(kind.__doc__)}\n"
    yield from _keys(kind)


def first_line(text: str | None) -> str:
    """Of a docstring."""
    return (text or "").partition("\n")[0]


def plain(value: Any) -> str:
    """A setting's value as one types it."""
    if value is None:
        return "none"
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
