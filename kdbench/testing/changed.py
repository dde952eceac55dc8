"""Copies of an objective with one number changed."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any


def changes_of(objective: Any) -> dict[str, list[Any]]:
    """Copies of an objective with one number changed, by the name of the number."""
    if not is_dataclass(objective):
        return {}
    copy: Any = replace  # whatever its class
    found: dict[str, list[Any]] = {}
    for one in fields(objective):
        value = getattr(objective, one.name)
        if isinstance(value, Mapping):
            for key, number in value.items():
                if _is_number(number):
                    found[f"{one.name}['{key}']"] = [
                        copy(objective, **{one.name: {**value, key: new}})
                        for new in _others(number)
                    ]
        elif _is_number(value):
            found[one.name] = [copy(objective, **{one.name: new}) for new in _others(value)]
    return found


def _others(value: float) -> list[float]:
    if isinstance(value, int):
        return [value + 1, value + 2, max(1, value - 1)]
    return [0.5 * value + 0.1, 0.9 * value + 0.01, 1.5 * value + 0.1, 0.1 * value]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
