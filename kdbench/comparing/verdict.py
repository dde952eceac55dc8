"""Verdicts on rows, the decision on a comparison, and its exit code.

Error rates at the level alpha (0.05). They are exact if the differences between the prompts' scores
are symmetric under the null hypothesis. For sparse, lopsided differences they hold in simulations
(`benchmarks/gate_skew.py`), because a second test allows for skew.

- `worse` and `improved` come from the test of "no change" with Holm's correction over all rows. If
  no row changed, the probability that any row gets either verdict is at most alpha, and at most
  alpha / 2 for each of the two.
- `regressed` comes from the same test of "the loss is at most the tolerance". If no row is truly
  beyond its tolerance, the probability that any row regressed, and so that the gate fails, is at
  most alpha / 2. At tolerance 0 it is the test of `worse`.
- `unchanged` means that the row's whole interval is within the tolerance. A row that is truly
  beyond its tolerance gets this verdict with a probability of at most alpha / 2.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from kdbench.text import counted

Verdict = Literal["regressed", "worse", "inconclusive", "unchanged", "improved"]
VERDICTS: tuple[Verdict, ...] = ("regressed", "worse", "inconclusive", "unchanged", "improved")
_SHOWN = 3  # undecided rows in a decision
EXIT_FINE, EXIT_REGRESSION, EXIT_INCOMPARABLE, EXIT_INCOMPLETE = 0, 1, 2, 3


@dataclass(frozen=True)
class Rules:
    """When a gate fails.

    Attributes:
        alpha: Level of all tests.
        strict: Whether `worse` also fails.
        require_conclusive: Whether a row that was not shown to be within its tolerance also fails.
    """

    alpha: float = 0.05
    strict: bool = False
    require_conclusive: bool = False


@dataclass(frozen=True)
class Problem:
    """A reason why there is nothing to judge.

    Attributes:
        code: Exit code: 2 if the runs are not comparable, 3 if a run is incomplete.
        text: Description in one line.
        task: Task that the problem concerns; None if it concerns all.
    """

    code: int
    text: str
    task: str | None = None


class Judged(Protocol):
    """A row that has its verdict."""

    @property
    def verdict(self) -> Verdict:
        """One of the five verdicts."""

    @property
    def within(self) -> bool:
        """Whether the row was shown to be within its tolerance."""

    @property
    def shortfall(self) -> str:
        """What the row could see, and what it needs to see its tolerance."""


@dataclass(frozen=True)
class Decision:
    """The outcome of a comparison.

    Attributes:
        code: Exit code.
        word: `PASS`, `NOT DECIDED`, `FAIL` or `NO VERDICT`.
        sentence: Reason.
    """

    code: int
    word: Literal["PASS", "NOT DECIDED", "FAIL", "NO VERDICT"]
    sentence: str

    @property
    def title(self) -> str:
        """The word; an undecided gate also says that it passes."""
        return f"{self.word} (passes)" if self.word == "NOT DECIDED" else self.word

    def __str__(self) -> str:
        return f"{self.title}: {self.sentence}"


def judge(
    *, gain: float, low: float, p: float, p_beyond: float, tolerance: float, alpha: float
) -> Verdict:
    """The verdict on a row.

    Args:
        gain: Mean difference; positive is better.
        low: Lower end of the gain's interval.
        p: Two-sided p-value against "no change", corrected over all rows.
        p_beyond: Two-sided p-value against "the loss equals the tolerance", corrected likewise.
        tolerance: Largest acceptable loss, in the metric's unit.
        alpha: Level of the tests.
    """
    if gain < -tolerance and p_beyond <= alpha:
        return "regressed"
    if p <= alpha:
        return "improved" if gain > 0 else "worse"
    return "unchanged" if is_within(low, tolerance) else "inconclusive"


def is_within(low: float, tolerance: float) -> bool:
    """Whether an interval of a gain, with the lower end `low`, excludes losses beyond tolerance."""
    return low >= -tolerance


def fails(row: Judged, rules: Rules) -> bool:
    """Whether a row alone makes the gate fail."""
    if row.verdict == "regressed" or (rules.strict and row.verdict == "worse"):
        return True
    return rules.require_conclusive and is_undecided(row)


def is_undecided(row: Judged) -> bool:
    """Whether a row may have lost more than its tolerance without the comparison having shown it.

    It is inconclusive, or worse by an amount that may be beyond the tolerance.
    """
    return not row.within and row.verdict in ("inconclusive", "worse")


def decide(rows: Sequence[Judged], problems: Sequence[Problem], rules: Rules) -> Decision:
    """The outcome, with exit code 0 (pass), 1 (regression), 2 (incomparable) or 3 (incomplete).

    A gate that passes although a row is undecided could not have seen the loss that it tolerates,
    and never says PASS.

    Args:
        rows: Judged rows.
        problems: Reasons why the runs cannot be compared.
        rules: When the gate fails.
    """
    if problems:
        code = max(problem.code for problem in problems)
        return Decision(code, "NO VERDICT", problems[0].text)
    if not rows:
        return Decision(EXIT_INCOMPARABLE, "NO VERDICT", "there is nothing to compare")
    counts = Counter(row.verdict for row in rows)
    summary = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])
    failed = sum(fails(row, rules) for row in rows)
    if failed:
        return Decision(EXIT_REGRESSION, "FAIL", f"{failed} of {len(rows)} rows fail: {summary}")
    undecided = [row for row in rows if is_undecided(row)]
    if undecided:
        shown = "; ".join(row.shortfall for row in undecided[:_SHOWN])
        more = f"; and {len(undecided) - _SHOWN} more" if len(undecided) > _SHOWN else ""
        return Decision(
            EXIT_FINE,
            "NOT DECIDED",
            f"{len(undecided)} of {len(rows)} rows ({summary}): {shown}{more}",
        )
    return Decision(EXIT_FINE, "PASS", f"{counted(len(rows), 'row')}: {summary}")
