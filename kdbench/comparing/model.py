"""What a comparison is, whatever it is drawn as."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from kdbench.comparing.tolerance import Tolerance
from kdbench.comparing.verdict import Decision, Problem, Rules, Verdict, decide
from kdbench.stats.paired import RESAMPLES


@dataclass(frozen=True)
class Method:
    """How intervals are made.

    Attributes:
        interval: `flip`, `bootstrap` or `hierarchical`.
        resamples: random sign flips, and resamples of a bootstrap.
        partial: compare the tasks and prompts that both sides have.
    """

    interval: str = "flip"
    resamples: int = RESAMPLES
    partial: bool = False


@dataclass(frozen=True)
class WorstPrompt:
    """A prompt that lost much.

    Attributes:
        id: of the document.
        base: its mean score over seeds.
        new: that of the new run.
    """

    id: str
    base: float
    new: float


@dataclass(frozen=True)
class Row:
    """One comparison, in the metric's own unit and sign.

    Attributes:
        task: its name, or `AVG`, the plain mean over tasks.
        metric: its name.
        unit: of the numbers.
        direction: which way is better.
        n: prompts.
        base: mean of the base.
        new: mean of the new run.
        change: new - base.
        low: lower end of the interval of the change; None where n is too small for one.
        high: upper end.
        p: two-sided, against no change.
        p_adjusted: Holm's, over all rows.
        tolerance: loss that is fine.
        least: change that this run would have called one, with 80 % chance; None for one prompt.
        needed: prompts with which `least` is the tolerance; None for a tolerance of 0.
        verdict: one of five.
        within: whether the whole interval is within the tolerance.
        worst: the prompts that lost most.
    """

    task: str
    metric: str
    unit: str
    direction: str
    n: int
    base: float
    new: float
    change: float
    low: float | None
    high: float | None
    p: float
    p_adjusted: float
    tolerance: float
    least: float | None
    needed: int | None
    verdict: Verdict
    within: bool
    worst: tuple[WorstPrompt, ...] = field(repr=False)


@dataclass(frozen=True)
class Comparison:
    """What a comparison found.

    Attributes:
        base: label of what was compared with.
        new: label of what was judged.
        rows: in order; empty where there are problems.
        problems: why the two cannot be compared.
        notes: what a reader must know, such as prompts that were left out.
        rules: when it fails.
        method: how intervals were made.
        tolerances: as asked for, by metric.
    """

    base: str
    new: str
    rows: tuple[Row, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    rules: Rules
    method: Method
    tolerances: Mapping[str, Tolerance]

    @property
    def decision(self) -> Decision:
        """Words and exit code."""
        return decide(self.rows, self.problems, self.rules)

    @property
    def exit_code(self) -> int:
        """0 fine, 1 regression, 2 incomparable, 3 a run is not whole."""
        return self.decision.code
