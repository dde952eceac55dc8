"""Prompts that are the print of a list or mapping instead of a text."""

import ast
import json
from collections.abc import Mapping
from typing import Any

from kdbench.errors import InputError

_TURN_KEYS = ({"role", "content"}, {"from", "value"})  # the second are those of ShareGPT


def is_turns(value: object, *keys: set[str]) -> bool:
    """Return whether a value is a list of chat turns.

    Args:
        value: Any value.
        keys: Sets of keys; a turn has all keys of one of them. Role and content by default.
    """
    return (
        isinstance(value, list)
        and bool(value)
        and all(
            isinstance(turn, dict) and any(known <= set(turn) for known in keys or _TURN_KEYS[:1])
            for turn in value
        )
    )


def check_is_text(template: object, row: Mapping[str, Any], question: str) -> None:
    """Check that a prompt is a text, not what Python prints of a list or mapping.

    Args:
        template: `doc_to_text` of the YAML.
        row: Row of the data set.
        question: What it renders to.

    Raises:
        InputError: It is not.
    """
    if any(is_turns(value, *_TURN_KEYS) and str(value) in question for value in row.values()):
        raise InputError(
            "doc_to_text puts a list of chat turns into a text; write only the list's field, as in "
            '"{{messages}}", and use protocol=chat'
        )
    text = question.strip()
    if text[:1] not in "[{(" or not text:
        return
    if _holds_turns(text) or _is_print(template, row, text):
        raise InputError(
            f"doc_to_text gives a list or mapping, {text[:40]}…, where a text belongs; print its "
            'items, as in "{{messages[0].content}}", or write only the field of a list of chat '
            'turns, as in "{{messages}}", and use protocol=chat'
        )


def _holds_turns(text: str) -> bool:
    """Whether a text is a list of chat turns, or one, as Python or JSON write it."""
    for read in (json.loads, ast.literal_eval):
        try:
            value = read(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        return is_turns(value if isinstance(value, list) else [value], *_TURN_KEYS)
    return False


def _is_print(template: object, row: Mapping[str, Any], text: str) -> bool:
    """Whether a template prints one value that is no text, and nothing else.

    The field of a row may be a text that looks like a list, which is fine.
    """
    if not isinstance(template, str) or template in row:
        return False
    from lm_eval.utils import env

    printed: list[str] = []

    def take(value: object) -> object:
        if isinstance(value, Mapping | list | tuple | set):
            printed.append(str(value).strip())
        return value

    env.overlay(finalize=take).from_string(template).render(**row)
    return text in printed
