"""What a check finds, and the diagnosis that all findings make."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note")
_SHOWN_ROWS = 8


@dataclass(frozen=True)
class Finding:
    """A fault, or something that a user should know.

    Attributes:
        level: `error`: the work would fail or its numbers would be wrong; `warning`: they are
            probably not what is wanted; `note`: good to know.
        what: What was found, with its numbers.
        why: Why it matters.
        fix: The key that fixes it, or what to do.
        rows: Ids of the rows that it is about, or pairs of them; all of them.
    """

    level: Level
    what: str
    why: str
    fix: str
    rows: Sequence[str] = ()

    def as_dict(self, check: str) -> dict[str, Any]:
        """The finding of a check, ready for JSON."""
        plain = {"level": self.level, "check": check, "what": self.what, "why": self.why}
        return plain | {"fix": self.fix, "rows": list(self.rows)}

    def rows_line(self) -> str:
        """The first rows, and how many more there are."""
        more = len(self.rows) - _SHOWN_ROWS
        return ", ".join(self.rows[:_SHOWN_ROWS]) + (f", … ({more} more)" if more > 0 else "")


class CannotRunError(Exception):
    """A check cannot be made here; the message says why."""


@dataclass(frozen=True)
class Diagnosis:
    """What the doctor says.

    Attributes:
        of: The verb whose keys were given: `eval` or `train`.
        findings: The findings with the name of their check, errors first.
        ran: Names of the checks that ran to their end.
        not_run: The reason by name of each check that could not run.
        left_out: Names of the checks that were not asked for.
        sections: Lines to print under a title, such as the loss of a row token by token.
        facts: Numbers that checks worked out, ready for JSON.
        seconds: Wall-clock time by check.
    """

    of: str
    findings: Sequence[tuple[str, Finding]]
    ran: Sequence[str]
    not_run: Mapping[str, str]
    left_out: Sequence[str]
    sections: Mapping[str, Sequence[str]] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict, compare=False)

    def count(self, level: Level) -> int:
        """Number of findings of a level."""
        return sum(finding.level == level for _, finding in self.findings)
