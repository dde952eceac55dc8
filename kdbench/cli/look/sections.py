"""Sections of an explanation: facts, keys and docstrings, within the terminal's width."""

import re
import sys
import textwrap
from collections.abc import Iterator, Sequence
from inspect import cleandoc
from typing import Any, get_args

from kdbench.cli.help import HelpEntry, plain, section_lines, terminal_width
from kdbench.cli.outline import outline_lines
from kdbench.system.outline import Fact, Section

_LABEL = re.compile(r"[A-Z]\w{2,12}: ")
"""The start of a paragraph of a docstring, as in `Paper: …`."""


def section(title: str, facts: Sequence[tuple[str, str]]) -> Iterator[str]:
    """A title, and facts that are known, a line each."""
    shown = tuple(Fact(name, value) for name, value in facts if value)
    yield from outline_lines([Section(title, shown)])


def _doc(text: str | None) -> Iterator[str]:
    """A docstring without its own line breaks; a line such as `Paper: …` begins a paragraph."""
    pieces: list[str] = []
    for line in cleandoc(text or "").splitlines():
        if pieces and pieces[-1] and line.strip() and not _LABEL.match(line):
            pieces[-1] += f" {line.strip()}"
        else:
            pieces.append(line.strip())
    for piece in pieces:
        yield from textwrap.wrap(
            piece,
            terminal_width(),
            initial_indent="  ",
            subsequent_indent="    " if _LABEL.match(piece) else "  ",
            break_on_hyphens=False,
        ) or [""]


def definition(kind: Any) -> Iterator[str]:
    """What the class and its file say, without the exceptions of the class."""
    rest = cleandoc(kind.__doc__ or "").partition("\n")[2].partition("\nRaises:")[0].strip()
    text = sys.modules[kind.__module__].__doc__
    if rest or text:
        yield from ["", "Definition"]
    yield from _doc("\n\n".join(filter(None, [rest, cleandoc(text or "")])))


def keys(kind: Any) -> Sequence[HelpEntry]:
    """Keys with their types, defaults and descriptions."""
    from kdbench.config.kinds import fields_by_key

    required = getattr(kind, "required", ())
    listed = []
    for key, field in fields_by_key(kind).items():
        needed = field.is_required() or key in required
        meaning = (field.description or "").rstrip(".")
        default = "required" if needed else f"default {_default(field.default)}"
        listed.append((f"{key}=", f"{meaning} ({_type(field)}, {default})"))
    return listed


def _default(value: Any) -> str:
    """A default as one types it, on one line."""
    return plain(value).replace("\n", "\\n") or "none"


def _type(field: Any) -> str:
    from kdbench.cli.help import choices

    names = {float: "number", int: "whole number", str: "text"}
    types = get_args(field.annotation) or [field.annotation]
    kinds = [names[kind] for kind in types if kind in names]
    return "|".join(choices(field.annotation)) or " or ".join(kinds) or "value"


def entries(title: str, listed: Sequence[HelpEntry]) -> Iterator[str]:
    """A section of keys, as in a help."""
    if listed:
        column = 4 + max(len(key) for key, _ in listed)
        yield from ["", *section_lines(title, listed, column, terminal_width())]
