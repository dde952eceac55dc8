"""The text of `kdbench VERB --help`: a verb's keys, with their descriptions and defaults."""

import importlib
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from inspect import cleandoc
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from kdbench.system.layout import output_width

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from kdbench.config import Settings

_WIDTH = 80
_REQUIRED = "Required"
_JSON = ("--json", "Print one JSON document on standard output, and notes on standard error")
_CONFIG = ("config=", "YAML file of keys; keys on the command line take precedence")

HelpEntry = tuple[str, str]
"""A key as it is typed, and its description."""


@dataclass(frozen=True)
class VerbHelp:
    """What the help of a verb is made from.

    Attributes:
        name: Name on the command line.
        doc: Docstring: a line of summary, and paragraphs.
        settings: Class whose fields are the verb's keys, in `kdbench.config` or as `module:Class`.
        example: Arguments of an example command.
        words: Words without a key that the verb takes first, such as "eval|train"; empty for the
            names of the keys that may come first.
        parts: Registry, as `module:name`, of the classes that the first word names.
    """

    name: str
    doc: str
    settings: str | None
    example: str | None
    words: str = ""
    parts: str | None = None


@dataclass(frozen=True)
class KeyedBy:
    """What adds keys of its own to a verb, as a method does to `train`.

    Attributes:
        key: The key that names it.
        registry: Where it is registered, as `module:registry`.
        positional: Whether it is the first word without a key.
    """

    key: str
    registry: str
    positional: bool = False

    @property
    def example(self) -> str:
        """How a command names one."""
        return "NAME" if self.positional else f"{self.key}=NAME"

    def named(self, words: Sequence[str]) -> str | None:
        """The one that a command line names; None if it names none."""
        option = f"--{self.key}"
        if option in words[:-1]:
            return words[words.index(option) + 1]
        start = f"{self.key}="
        for word in words:
            if word.removeprefix("--").startswith(start):
                return word.partition("=")[2]
        first = next(iter(words), "")
        return first if self.positional and first and not {"=", "-"} & set(first) else None

    def get(self, name: str) -> "type[Settings]":
        """Its class.

        Raises:
            InputError: There is none of this name.
        """
        found: type[Settings] = self._registry().get(name)
        return found

    def fields(self, words: Sequence[str]) -> "Mapping[str, FieldInfo]":
        """The keys of the one that a command line names; nothing if it is unknown."""
        name = self.named(words)
        known = name is not None and name in self._registry().names()
        return self.get(str(name)).model_fields if known else {}

    def _registry(self) -> Any:
        module, _, name = self.registry.partition(":")
        return getattr(importlib.import_module(module), name)


KEYED_BY = {
    "train": KeyedBy("method", "kdbench.methods:methods"),
    "build": KeyedBy("builder", "kdbench.builders:builders", positional=True),
}
"""What adds keys to a verb, by verb."""


def help_lines(verb: VerbHelp, words: Sequence[str], width: int | None = None) -> Iterator[str]:
    """The help of a verb, line by line.

    Args:
        verb: What the help is made from.
        words: Words of the command line other than `--help`; `method=NAME` adds that method's keys,
            the name of a builder those of the builder; the first word may name a part whose keys
            are those of the verb.
        width: Columns to wrap at; by default the terminal's, or 80 elsewhere.

    Raises:
        InputError: There is no such method.
    """
    width = width or terminal_width()
    verb = of_named_part(verb, words)
    usage = ["kdbench", verb.name, verb.words or _positional(verb.settings)]
    yield " ".join(filter(None, [*usage, "key=value …" if verb.settings else ""]))
    for paragraph in cleandoc(verb.doc).split("\n\n"):
        yield from ["", *textwrap.wrap(" ".join(paragraph.split()), width)]
    if verb.settings is None:
        return
    sections = _sections(verb.settings)
    kind = KEYED_BY.get(verb.name)
    if kind is not None:
        sections |= _own_sections(kind, words)
    column = 4 + max(len(key) for entries in sections.values() for key, _ in entries)
    if _REQUIRED in sections:
        yield from ["", *section_lines(_REQUIRED, sections.pop(_REQUIRED), column, width)]
    if verb.example:
        yield from ["", *_example_lines(f"kdbench {verb.name} {verb.example}", width)]
    for title, entries in sections.items():
        yield from ["", *section_lines(title, entries, column, width)]
    if kind is not None and not kind.named(words):
        example = f"kdbench {verb.name} {kind.example} --help"
        yield from ["", f"Each {kind.key} has more keys: {example}"]


def of_named_part(verb: VerbHelp, words: Sequence[str]) -> VerbHelp:
    """What the help is made from, for the part that the first word names, such as an analysis.

    Args:
        verb: The verb, whose other words name nothing.
        words: Words of the command line after the verb.

    Raises:
        InputError: There is no such part.
    """
    from kdbench.config.words import key_of
    from kdbench.registry.plugins import load_named_plugins

    if verb.parts is None:
        return verb
    names = [word for word in load_named_plugins(words) if key_of(word) is None]
    if not names:
        return verb
    module, _, registry = verb.parts.partition(":")
    kind = getattr(importlib.import_module(module), registry).get(names[0])
    return replace(
        verb,
        doc=kind.__doc__ or "",
        settings=f"{kind.__module__}:{kind.__qualname__}",
        example=None,
        words=names[0],
    )


def first_line(text: str | None) -> str:
    """The first line of a docstring; empty if there is none."""
    return (text or "").partition("\n")[0]


def plain(value: Any) -> str:
    """A setting's value as one types it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def settings_class(settings: str) -> "type[Settings]":
    """The class of a verb's keys.

    Args:
        settings: Its name in `kdbench.config`, or `module:Class`.
    """
    module, _, name = settings.rpartition(":")
    kind: type[Settings] = getattr(importlib.import_module(module or "kdbench.config"), name)
    return kind


def _positional(settings: str | None) -> str:
    """The keys whose values may come first, as in `BASE NEW` or `[RESULTS]`."""
    if settings is None:
        return ""
    from kdbench.config.kinds import fields_by_key

    kind = settings_class(settings)
    fields = fields_by_key(kind)
    names = [(key.removeprefix("judge_").upper(), fields[key]) for key in kind.__positional__]
    return " ".join(name if field.is_required() else f"[{name}]" for name, field in names)


def _sections(settings: str) -> dict[str, list[HelpEntry]]:
    """The entries of a verb's keys by title; required keys come first."""
    from kdbench.config.kinds import ADVANCED, fields_by_key, key_groups

    kind = settings_class(settings)
    fields = fields_by_key(kind)
    required = [_entry(key, field) for key, field in fields.items() if field.is_required()]
    sections = {_REQUIRED: required} if required else {}
    for group, keys in key_groups(kind).items():
        entries = [_entry(key, fields[key]) for key in keys if not fields[key].is_required()]
        if entries:
            sections[group] = entries
    advanced = sections.pop(ADVANCED, [])
    if "json" not in fields:  # otherwise --json is json=-
        sections.setdefault("Output", []).append(_JSON)
    sections[ADVANCED] = [*advanced, _CONFIG]
    return sections


def _own_sections(kind: KeyedBy, words: Sequence[str]) -> dict[str, list[HelpEntry]]:
    """The entries of the keys of a method, a builder or whatever else a command names."""
    name = kind.named(words)
    if name is None:
        return {}
    from kdbench.config.kinds import fields_by_key

    part = kind.get(name)
    entries = [_entry(key, field) for key, field in fields_by_key(part).items()]
    return {f"{kind.key}={name}: {first_line(part.__doc__)}": entries}


def _entry(key: str, field: "FieldInfo") -> HelpEntry:
    """A key as it is typed, and its description with choices and default."""
    if field.annotation is bool and field.default is False:
        return f"--{key.replace('_', '-')}", field.description or ""
    text, _, default = (field.description or "").partition(" (default")
    words = choices(field.annotation)
    if len(words) > 1:
        text += f" [{'|'.join(words)}]"
    if default:
        text += f" (default{default}"
    elif not field.is_required() and field.default not in (None, "", (), {}):
        text += f" (default {plain(field.default)})"
    return f"{key}=", text


def choices(annotation: Any) -> list[str]:
    """The words that a setting can be."""
    if annotation is bool:
        return ["true", "false"]
    arguments = get_args(annotation)
    if get_origin(annotation) is Literal:
        return [str(value) for value in arguments]
    kinds = [kind for kind in arguments if kind is bool or get_origin(kind) is Literal]
    return [choice for kind in kinds for choice in choices(kind)]


def section_lines(
    title: str, entries: Sequence[HelpEntry], column: int, width: int
) -> Iterator[str]:
    """A title and its entries, whose descriptions begin at a column and wrap there."""
    yield from textwrap.wrap(title, width)
    for key, text in entries:
        yield from textwrap.wrap(
            text,
            width,
            initial_indent=f"  {key}".ljust(column),
            subsequent_indent=" " * column,
            break_on_hyphens=False,
        ) or [f"  {key}"]


def _example_lines(command: str, width: int) -> Iterator[str]:
    """An example command; one that is too long continues on further lines."""
    yield "Example"
    lines = textwrap.wrap(
        command,
        width - 2,
        initial_indent="  ",
        subsequent_indent="    ",
        break_on_hyphens=False,
        break_long_words=False,
    )
    yield from [f"{line} \\" for line in lines[:-1]]
    yield lines[-1]


def terminal_width() -> int:
    """The columns of standard output, or 80 if it has no limit."""
    return output_width() or _WIDTH
