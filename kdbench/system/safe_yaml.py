"""YAML from users and from the Internet: limited in size, depth and aliases, and unambiguous.

Limits are checked on the stream of events, before anything is built: libyaml's own builder ends the
process at deep nesting, and a few nested aliases can stand for billions of values.
"""

import re
import stat
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

import yaml

from kdbench.errors import InputError, reason_of

MAX_BYTES = 1_000_000
MAX_DEPTH = 50
MAX_ALIASED = 10_000
"""Number of values that aliases may stand for."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C one is ten times faster
_AMBIGUOUS = re.compile(r"[-+]?(0[0-7_]+|[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?)")
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


class _PlainLoader(_Loader):
    """Refuses doubled keys, and numbers that YAML 1.1 reads as nobody does: `010`, `1:30`."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key '{key.value}' comes twice", key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)  # type: ignore[no-any-return]

    def construct_number(self, node: Any) -> Any:
        if _AMBIGUOUS.fullmatch(node.value):
            raise yaml.constructor.ConstructorError(
                None,
                None,
                f"'{node.value}' is ambiguous: write a plain number, or quote it",
                node.start_mark,
            )
        constructor = _Loader.yaml_constructors[node.tag]
        return constructor(self, node)


for _tag in _NUMBERS:
    _PlainLoader.add_constructor(_tag, _PlainLoader.construct_number)


def read_yaml_file(path: Path) -> Any:
    """Read a YAML file.

    Raises:
        InputError: No regular file, too large, or not YAML within the limits; the message does not
            name the file.
        OSError: The file cannot be read.
    """
    return parse_yaml(yaml_text(path))


def parse_yaml(text: str) -> Any:
    """Read a YAML text.

    Raises:
        InputError: Not YAML, or beyond the limits.
    """
    check_yaml(text)
    try:
        return yaml.load(text, Loader=_PlainLoader)  # noqa: S506 - derived from the safe loader
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
        raise InputError(f"not YAML: {_reason(error)}") from None


def yaml_text(path: Path) -> str:
    """The text of a YAML file.

    Raises:
        InputError: No regular file, too large, or not UTF-8; the message does not name the file.
        OSError: The file cannot be read.
    """
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(21, "Is a directory", str(path))
    if not stat.S_ISREG(status.st_mode):
        raise InputError("not a regular file")
    if status.st_size > MAX_BYTES:
        raise InputError(f"larger than {MAX_BYTES // 1_000_000} MB")
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"not YAML in UTF-8: {error}") from None


def check_yaml(text: str) -> None:
    """Check the limits of a YAML text without building anything; tags are not looked at.

    Raises:
        InputError: Not YAML, or beyond the limits.
    """
    sizes: dict[str, int | None] = {}  # values below each anchor; None while it is open
    open_nodes: list[tuple[str | None, int]] = []
    count = aliased = 0
    try:
        events: Iterator[Any] = yaml.parse(text, Loader=_Loader)
        for event in events:
            if isinstance(event, yaml.AliasEvent):
                size = sizes.get(str(event.anchor))
                if size is None:
                    raise InputError(f"not YAML: alias '*{event.anchor}' has no closed anchor")
                count, aliased = count + size, aliased + size
                if aliased > MAX_ALIASED:
                    raise InputError(f"not read: aliases stand for over {MAX_ALIASED} values")
            elif isinstance(event, yaml.NodeEvent):
                opens = isinstance(event, yaml.CollectionStartEvent)
                if event.anchor is not None:
                    sizes[event.anchor] = None if opens else 1
                if opens:
                    open_nodes.append((event.anchor, count))
                    if len(open_nodes) > MAX_DEPTH:
                        raise InputError(f"not read: nested deeper than {MAX_DEPTH} levels")
                count += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                anchor, start = open_nodes.pop()
                if anchor is not None:
                    sizes[anchor] = count - start
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"not YAML: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    """The problem and its line, without the snippet of the file."""
    problem, mark = getattr(error, "problem", None), getattr(error, "problem_mark", None)
    if not problem:
        return reason_of(error, 200)
    return f"line {mark.line + 1}: {problem}" if mark is not None else str(problem)
