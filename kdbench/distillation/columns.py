"""Other columns of training rows: fields of examples, weights, and pairs of responses."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from kdbench.errors import InputError

PAIR = ("chosen", "rejected")
_READ = {  # by the kind of row; all other columns are fields
    "instruction": {"id", "instruction", "input", "output"},
    "messages": {"id", "messages", "response"},
    "prompt": {"id", "prompt", "response"},
    "text": {"id", "text"},
}


def fields_of(
    record: Mapping[str, Any], kind: str, needed: Collection[str], place: str
) -> dict[str, Any]:
    """The columns of a row that are not its prompt or response.

    Args:
        record: The row as its file has it.
        kind: The kind of row.
        needed: The fields that the method needs.
        place: File and line, for messages.

    Raises:
        InputError: A field is missing that the method needs, or `weight` is no number of 0 or more.
    """
    fields = {name: value for name, value in record.items() if name not in _READ[kind]}
    for name in needed:
        if fields.get(name) is None:
            others = ", ".join(fields) or "no other column"
            raise InputError(f"{place}: the method needs the field '{name}'; the row has {others}")
    weight = fields.get("weight", 1)
    if not isinstance(weight, int | float) or isinstance(weight, bool) or not weight >= 0:
        raise InputError(
            f"{place}: 'weight' must be a number of 0 or more, a factor of the "
            "row's loss; rename the column if it means something else"
        )
    if math.isinf(weight):  # as JSON's 1e999
        raise InputError(f"{place}: 'weight' is not finite")
    return fields


def pair_of(record: Mapping[str, Any], asked: object, place: str) -> dict[str, str]:
    """The two responses of a row as texts.

    Args:
        record: A row with `chosen` and `rejected`.
        asked: The prompt or the turns before the response; None leaves them unchecked.
        place: File and line, for messages.

    Raises:
        InputError: One of them is neither a text nor turns that end with the assistant's, or its
            first turns are not those of the prompt.
    """
    return {name: _answer(record[name], asked, f"{place}: '{name}'") for name in PAIR}


def with_messages(record: dict[str, Any], place: str) -> dict[str, Any]:
    """A row of pairs with its prompt as `messages`, where it is a list of turns or left out.

    Public sets of pairs have the prompt as text, as turns, or only in `chosen` and `rejected`.

    Raises:
        InputError: `chosen` and `rejected` do not begin with the same turns.
    """
    if {"messages", "instruction", "text"} & set(record) or "chosen" not in record:
        return record
    prompt, chosen, rejected = (record.get(name) for name in ("prompt", *PAIR))
    if isinstance(prompt, list):
        return {**_without(record, "prompt"), "messages": prompt}
    if prompt is not None or not isinstance(chosen, list):
        return record
    if not isinstance(rejected, list) or rejected[:-1] != chosen[:-1] or len(chosen) < 2:
        raise InputError(
            f"{place}: without a prompt, 'chosen' and 'rejected' must be lists of turns that "
            "differ in the last one alone"
        )
    return {**record, "messages": chosen[:-1]}


def chosen_as_response(record: Mapping[str, Any], asked: object, place: str) -> dict[str, Any]:
    """A row of pairs with the better response as its response, where it has no other.

    Raises:
        InputError: `chosen` is neither a text nor turns that end with the assistant's.
    """
    if record.get("response") is not None or "chosen" not in record:
        return dict(record)
    return {**record, "response": _answer(record["chosen"], asked, f"{place}: 'chosen'")}


def _without(record: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key != name}


def _answer(value: object, asked: object, place: str) -> str:
    if isinstance(value, str) and value.strip():
        return value
    *before, last = value if isinstance(value, list) and value else [None]
    turn = last if isinstance(last, dict) and last.get("role") == "assistant" else {}
    content = turn.get("content")
    if not isinstance(content, str) or not content.strip():
        raise InputError(
            f"{place} must be a non-empty text, or a list of turns that ends with the assistant's"
        )
    if before and asked is not None and not _same(before, asked):
        raise InputError(f"{place} begins with other turns than the prompt of its row")
    return content


def _same(turns: Sequence[object], asked: object) -> bool:
    wanted = [{"role": "user", "content": asked}] if isinstance(asked, str) else asked
    kept = [
        {key: turn.get(key) for key in ("role", "content")} if isinstance(turn, dict) else turn
        for turn in turns
    ]
    return kept == wanted
