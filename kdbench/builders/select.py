"""Selection: a rule keeps the rows of a set from which a student should learn.

`by=` names the rule. Each has keys of its own, and refuses those of others.
"""

from collections.abc import Mapping
from typing import ClassVar

from kdbench.builders import Builder, builders
from kdbench.builders.selection import SelectionRule, selection_rules
from kdbench.errors import InputError


@builders.register("select")
class Select(SelectionRule):
    """The rows of a set that a rule finds the most useful."""

    title: ClassVar[str] = "Selection by a rule"
    paper: ClassVar[str] = "that of the rule"
    cost: ClassVar[str] = "by rule: from nothing to teacher generation and a pass of two models"

    @classmethod
    def variant(cls, values: Mapping[str, object]) -> type[Builder]:
        """The rule that `by=` names."""
        if values.get("by") is None:
            raise InputError(f"by= is missing: name a rule: {', '.join(selection_rules.names())}")
        return selection_rules.get(str(values["by"]))

    @classmethod
    def variants(cls) -> Mapping[str, type[Builder]]:
        """The rules."""
        return {f"by={name}": selection_rules.get(name) for name in selection_rules.names()}

    @classmethod
    def describe(cls) -> dict[str, str]:
        """The names of the rules, and what they cost."""
        return {"rules": ", ".join(selection_rules.names()), "cost": cls.cost}
