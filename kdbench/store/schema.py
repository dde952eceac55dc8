"""Checking what a stored file holds: each field against a rule, with the place of the first fault.

Files may have been edited by hand, torn, or made by another version, so nothing in them is trusted.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

LARGEST = 1e12
"""Largest absolute value of a stored number; sums and squares of such numbers stay finite."""

_COLUMN = {int, float, type(None)}


class FieldError(ValueError):
    """What is wrong in a file, with its place: `metrics.rougeL.n: must be …`."""


@dataclass(frozen=True)
class Rule:
    """What a field must be.

    Attributes:
        what: Its description, to follow "must be".
        holds: Whether a value is that.
        required: Whether the field must exist.
    """

    what: str
    holds: Callable[[Any], bool]
    required: bool = True

    def or_null(self) -> "Rule":
        """The same, or null."""
        return Rule(f"{self.what} or null", lambda value: value is None or self.holds(value))

    def if_given(self) -> "Rule":
        """The same for a field that may be missing."""
        return Rule(self.what, self.holds, required=False)


def is_number(value: Any) -> bool:
    """Whether a value is a number of reasonable size, and not a truth value."""
    return type(value) in (int, float) and abs(value) <= LARGEST


def one_of(*values: str) -> Rule:
    """A rule for a field with few possible texts."""
    return Rule(" or ".join(values), lambda value: isinstance(value, str) and value in values)


def each(rule: Rule, plural: str) -> Rule:
    """A rule for a list, each item of which follows a rule."""
    return Rule(
        f"a list of {plural}",
        lambda value: isinstance(value, list) and all(map(rule.holds, value)),
    )


TEXT = Rule("text", lambda value: isinstance(value, str))
NAME = Rule("a name", lambda value: isinstance(value, str) and bool(value.strip()))
NUMBER = Rule(f"a number of at most {LARGEST:g}", is_number)
POSITIVE = Rule("a number, 0 or larger", lambda value: is_number(value) and value >= 0)
COUNT = Rule("a whole number, 0 or larger", lambda v: type(v) is int and 0 <= v < 2**63)
SEED = Rule("a whole number", lambda v: type(v) is int and abs(v) < 2**63)
BOOL = Rule("true or false", lambda value: isinstance(value, bool))
MAPPING = Rule("a mapping", lambda value: isinstance(value, dict))


def check_fields(content: Any, rules: Mapping[str, Rule], place: str = "") -> None:
    """Check the fields of a mapping; fields without a rule may be anything.

    Args:
        content: The mapping.
        rules: Rules by field.
        place: Where the mapping is in the file, with dots; empty for the whole file.

    Raises:
        FieldError: It is no mapping, or a field is missing or breaks its rule.
    """
    if not isinstance(content, dict):
        raise FieldError(f"{place or 'the file'}: must be a mapping")
    start = f"{place}." if place else ""
    for key, rule in rules.items():
        if key not in content:
            if rule.required:
                raise FieldError(f"'{start}{key}' is missing")
        elif not rule.holds(content[key]):
            raise FieldError(f"{start}{key}: must be {rule.what}")


def check_column(column: Any, length: int, place: str) -> None:
    """Check a list of numbers or null.

    Args:
        column: The list.
        length: Number of its items.
        place: Where it is in the file, with dots.

    Raises:
        FieldError: It is something else.
    """
    if not isinstance(column, list) or len(column) != length:
        raise FieldError(f"{place}: must be a list of {length} numbers, as its neighbours are")
    if not set(map(type, column)) <= _COLUMN:
        raise FieldError(f"{place}: must hold numbers or null")
    if max(map(abs, filter(None, column)), default=0) > LARGEST:
        raise FieldError(f"{place}: must hold numbers of at most {LARGEST:g}")
