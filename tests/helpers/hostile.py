"""Hostile values, and strategies that put one of them into a healthy file."""

import copy
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import strategies as st

Path = tuple[str | int, ...]
"""The keys and indices that lead to a value."""


DEEP = "@deep@"
"""Stands for lists in lists, too many for Python's recursion."""

RAW_JSON = {DEEP: "[" * 3000 + "]" * 3000, "@many digits@": "1" + "0" * 5000}
"""JSON text by the string that stands for it."""

RAW_YAML = {
    **RAW_JSON,
    "@bomb@": "{a: &a [x,x,x,x,x,x,x,x,x], b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a], "
    "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b], d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c], "
    "e: [*d,*d,*d,*d,*d,*d,*d,*d,*d]}",
    "@loop@": "&l [*l]",
    "@object@": "!!python/object/apply:os.getcwd []",
    "@function@": "!function os.getcwd",
    "@tag@": "!x y",
    "@date@": "2026-01-01",
    "@clock@": "1:30",
    "@octal@": "010",
    "@twice@": "{a: 1, a: 2}",
    "@complex key@": "{? [a, b] : c}",
    "@number key@": "{1: 2, null: 3, 0.5: 4}",
    "@binary@": "!!binary aGVsbG8=",
    "@set@": "!!set {a, b}",
    "@undefined@": "*nothing",
    "@open@": "[x",
    "@tab@": "\t- x",
    "@document@": "x\n---\ny",
}
"""YAML text by the string that stands for it."""


ESCAPES = "\x1b[31mred\x07"
"""Text that colours a terminal and rings its bell."""

ATOMS: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    5,
    2**31,
    2**63,
    2**64,
    10**400,
    0.5,
    -0.0,
    1e-300,
    1e308,
    -1e308,
    float("inf"),
    float("-inf"),
    float("nan"),
    "",
    " ",
    "x",
    "1",
    "x" * 5000,
    "../../x",
    "/",
    ".",
    "a/b",
    "\x00",
    "\ud800",
    ESCAPES,
    "\x9b31m",
    "\u202egnp\u202c",
    "\u2066x",
    "line\nbreak\r\n",
    "\u2028",
    "{{ x }}",
    "{{ 1/0 }}",
    "<b>&\"'|`$",
    "=1+1",
    "::error::x",
    "٣",
    [],
    [None],
    [[]],
    ["x"],
    [1, "x", None],
    [float("nan")],
    {},
    {"": ""},
    {"x": 1},
    {"id": "a"},
    [[[[[[[[[["x"]]]]]]]]]],
    *RAW_YAML,
)

atoms = st.sampled_from(ATOMS) | st.integers() | st.floats() | st.text(max_size=12)


def paths(value: Any, here: Path = ()) -> Iterator[Path]:
    """The paths of a value and of everything in it."""
    yield here
    if isinstance(value, dict):
        items: Any = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    else:
        return
    for key, item in items:
        yield from paths(item, (*here, key))


def put(value: Any, path: Path, new: Any) -> Any:
    """A copy of a value with a new value at a path."""
    if not path:
        return new
    changed = copy.deepcopy(value)
    parent = _at(changed, path[:-1])
    parent[path[-1]] = new
    return changed


def without(value: Any, path: Path) -> Any:
    """A copy of a value without what is at a path."""
    changed = copy.deepcopy(value)
    del _at(changed, path[:-1])[path[-1]]
    return changed


def renamed(value: Any, path: Path, key: str) -> Any:
    """A copy of a value in which the mapping's key at the end of a path has a new name."""
    changed = copy.deepcopy(value)
    parent = _at(changed, path[:-1])
    parent[key] = parent.pop(path[-1])
    return changed


def _at(value: Any, path: Path) -> Any:
    for step in path:
        value = value[step]
    return value


@st.composite
def changed(draw: st.DrawFn, value: Any) -> Any:
    """A healthy value with one hostile change somewhere in it."""
    path = draw(st.sampled_from(list(paths(value))))
    if not path:
        return draw(atoms)
    parent = _at(value, path[:-1])
    kinds = ["put", "put", "put", "without", "added"]
    kind = draw(st.sampled_from([*kinds, "renamed"] if isinstance(parent, dict) else kinds))
    if kind == "without":
        return without(value, path)
    if kind == "renamed":
        return renamed(value, path, draw(st.sampled_from([a for a in ATOMS if type(a) is str])))
    if kind == "added" and isinstance(parent, dict):
        return put(value, (*path[:-1], "one_more"), draw(atoms))
    if kind == "added":
        return put(value, path[:-1], [*parent, draw(atoms)])
    return put(value, path, draw(atoms))


def json_text(value: Any) -> bytes:
    """A value as JSON, in which lone surrogates stay escaped."""
    text = json.dumps(value)
    for stand_in, raw in RAW_JSON.items():
        text = text.replace(json.dumps(stand_in), raw)
    return text.encode()


def yaml_text(value: Any) -> bytes:
    """A value as YAML in one line, which is JSON but for what JSON cannot say."""
    text = re.sub(r"(-?)Infinity", r"\1.inf", json.dumps(value)).replace("NaN", ".nan")
    for stand_in, raw in RAW_YAML.items():
        text = text.replace(json.dumps(stand_in), raw)
    return text.encode()


def written(value: Any, text: Callable[[Any], bytes]) -> st.SearchStrategy[bytes]:
    """A file that holds a value with one hostile change, or whose bytes are damaged."""
    whole = text(value)
    return changed(value).map(text) | damaged(whole)


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """Bytes that are cut, zeroed, doubled, empty, or that hold what no text holds."""
    at = draw(st.integers(0, len(whole)))
    kinds: dict[str, Callable[[], bytes]] = {
        "cut": lambda: whole[:at],
        "zeroed": lambda: whole[:at] + bytes(len(whole) - at),
        "zeros": lambda: bytes(len(whole)),
        "empty": lambda: b"",
        "twice": lambda: whole + whole,
        "byte": lambda: whole[:at] + draw(st.binary(min_size=1, max_size=1)) + whole[at + 1 :],
        "garbage": lambda: whole + b"\xff\xfe{",
        "bom": lambda: b"\xef\xbb\xbf" + whole,
        "latin": lambda: whole[:at] + b"\xe9" + whole[at:],
        "utf16": lambda: whole.decode().encode("utf-16"),
        "windows": lambda: whole.replace(b"\n", b"\r\n"),
    }
    return kinds[draw(st.sampled_from(sorted(kinds)))]()


@st.composite
def lines(draw: st.DrawFn, rows: list[dict[str, Any]]) -> bytes:
    """A JSONL file with one hostile change: in a row, in the order of rows, or in its bytes."""
    texts = [json_text(row) for row in rows]
    kind = draw(st.sampled_from(["row", "row", "row", "line", "twice", "fewer", "key", "damaged"]))
    number = draw(st.integers(0, len(rows) - 1))
    if kind == "row":
        texts[number] = json_text(draw(changed(rows[number])))
    elif kind == "line":
        texts[number] = draw(st.sampled_from([b"", b"[]", b"null", b"{}", b"{", b"\x00", b"1e999"]))
    elif kind == "twice":
        texts.insert(number, texts[number])
    elif kind == "fewer":
        del texts[number]
    elif kind == "key":  # a key that occurs twice
        key = draw(st.sampled_from(sorted(rows[number])))
        more = b', "%s": %s}' % (key.encode(), json_text(draw(atoms)))
        texts[number] = texts[number][:-1] + more
    whole = b"".join(text + b"\n" for text in texts)
    return draw(damaged(whole)) if kind == "damaged" else whole
