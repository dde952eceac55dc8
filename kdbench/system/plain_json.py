"""JSON with sorted keys, six decimals, and null for non-finite numbers, made in pieces."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_DEPTH = 2  # of the values that are one line each


def json_line(record: Mapping[str, Any]) -> str:
    """A line of JSON with its newline."""
    return json.dumps(_plain(record), ensure_ascii=False, sort_keys=True) + "\n"


def json_pieces(content: Mapping[str, Any]) -> Iterator[str]:
    """JSON with one line per metric and per column of scores, for small diffs; line by line."""
    yield from _pretty(content, 0)
    yield "\n"


def _pretty(value: Any, depth: int) -> Iterator[str]:
    if depth == _DEPTH or not isinstance(value, Mapping) or not value:
        yield json.dumps(_plain(value), ensure_ascii=False, sort_keys=True)
        return
    indent, start = " " * depth, "{\n"
    named = {str(key): item for key, item in value.items()}
    for key in sorted(named):
        yield f"{start}{indent} {json.dumps(key)}: "
        yield from _pretty(named[key], depth + 1)
        start = ",\n"
    yield f"\n{indent}}}"


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6) + 0.0 if math.isfinite(value) else None  # + 0.0: no -0.0
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_plain(item) for item in value]
    return value
