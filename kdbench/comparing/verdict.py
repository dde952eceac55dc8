"""What the numbers mean. One function makes a verdict, one the decision: its words and its code.

Three error rates, at the level alpha (0.05):

- `worse` and `improved` are Holm's test over all rows: with no change in any row, the chance that
  some row is called so is at most alpha, at most alpha / 2 for each of the two words.
- `regressed` is the same test of "not worse than the tolerance allows" in place of "no change":
  with no row truly beyond its tolerance, the chance that some row regressed, and that the gate
  fails, is at most alpha / 2. At tolerance 0 it is the test of `worse`.
- `unchanged` says of one row that its whole interval is within the tolerance: of a row that truly
  is beyond it, the chance of that is at most alpha / 2.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Verdict = Literal["regressed", "worse", "inconclusive", "unchanged", "improved"]
VERDICTS: tuple[Verdict, ...] = ("regressed", "worse", "inconclusive", "unchanged", "improved")
EXIT_FINE, EXIT_REGRESSION, EXIT_INCOMPARABLE, EXIT_INCOMPLETE = 0, 1, 2, 3


@dataclass(frozen=True)
class Rules:
    """When a gate fails.

    Attributes:
        alpha: level of all tests.
        strict: `worse` fails too.
        require_conclusive: a row that was not shown to be within its tolerance fails too.
    """

    alpha: float = 0.05
    strict: bool = False
    require_conclusive: bool = False


@dataclass(frozen=True)
class Evidence:
    """What is known of a row, as gains: positive is better.

    Attributes:
        gain: the mean difference.
        low: lower end of its interval.
        p: against no change, two-sided, adjusted over rows.
        p_beyond: against a loss of the tolerance, two-sided, adjusted over rows.
        tolerance: how great a loss is fine.
    """

    gain: float
    low: float
    p: float
    p_beyond: float
    tolerance: float

    @property
    def within(self) -> bool:
        """Whether the whole interval is within the tolerance."""
        return self.low >= -self.tolerance


@dataclass(frozen=True)
class Problem:
    """Why there is nothing to judge.

    Attributes:
        code: 2 where the sides do not compare, 3 where one is not whole.
        text: one line.
        task: where it is of one task.
    """

    code: int
    text: str
    task: str | None = None


class Judged(Protocol):
    """A row that has its verdict."""

    @property
    def verdict(self) -> Verdict:
        """One of the five."""

    @property
    def within(self) -> bool:
        """Whether it was shown to be within its tolerance."""


@dataclass(frozen=True)
class Decision:
    """What a comparison comes to.

    Attributes:
        code: the exit code.
        word: `PASS`, `FAIL`, or `NO VERDICT`.
        sentence: why.
    """

    code: int
    word: Literal["PASS", "FAIL", "NO VERDICT"]
    sentence: str

    def __str__(self) -> str:
        return f"{self.word}: {self.sentence}"


def judge(evidence: Evidence, alpha: float) -> Verdict:
    """The verdict of a row."""
    if evidence.gain < -evidence.tolerance and evidence.p_beyond <= alpha:
        return "regressed"
    if evidence.p <= alpha:
        return "improved" if evidence.gain > 0 else "worse"
    return "unchanged" if evidence.within else "inconclusive"


def fails(row: Judged, rules: Rules) -> bool:
    """Whether a row alone makes the gate fail."""
    if row.verdict == "regressed" or (rules.strict and row.verdict == "worse"):
        return True
    return rules.require_conclusive and not row.within and row.verdict != "improved"


def decide(rows: Sequence[Judged], problems: Sequence[Problem], rules: Rules) -> Decision:
    """The words and the exit code: 0 fine, 1 regression, 2 incomparable, 3 not whole."""
    if problems:
        return Decision(max(one.code for one in problems), "NO VERDICT", problems[0].text)
    if not rows:
        return Decision(EXIT_INCOMPARABLE, "NO VERDICT", "there is nothing to compare")
    counts = Counter(row.verdict for row in rows)
    words = ", ".join(f"{counts[one]} {one}" for one in VERDICTS if counts[one])
    failed = sum(fails(row, rules) for row in rows)
    if failed:
        return Decision(EXIT_REGRESSION, "FAIL", f"{failed} of {len(rows)} rows fail: {words}")
    return Decision(EXIT_FINE, "PASS", f"{len(rows)} rows: {words}")
