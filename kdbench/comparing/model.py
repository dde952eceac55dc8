"""The result of a comparison, independent of how it is written down."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from kdbench.comparing.tolerance import Tolerance
from kdbench.comparing.verdict import Decision, Problem, Rules, Verdict, decide
from kdbench.stats.defaults import RESAMPLES


@dataclass(frozen=True)
class RowTestMethod:
    """How rows are tested.

    Attributes:
        interval: Kind of interval: `flip`, `bootstrap` or `hierarchical`.
        resamples: Number of random sign flips, and of bootstrap resamples.
        partial: Whether only the tasks and prompts that both runs have are compared.
        by: `category` to also test the prompts of each category; None for whole tasks alone.
    """

    interval: str = "flip"
    resamples: int = RESAMPLES
    partial: bool = False
    by: str | None = None


@dataclass(frozen=True)
class Evidence:
    """The responses to a prompt of the seed whose scores differ most.

    Attributes:
        seed: Seed of the sampling.
        base: Response of the base; None if it is not stored.
        new: Response of the new run; None if it is not stored.
        base_score: Score of the base's response; None if unknown.
        new_score: Score of the new run's response; None if unknown.
        prompt: Prompt; None if the data are not there.
        reference: First reference; None if the data are not there.
    """

    seed: int
    base: str | None
    new: str | None
    base_score: float | None
    new_score: float | None
    prompt: str | None = None
    reference: str | None = None


@dataclass(frozen=True)
class WorstPrompt:
    """A prompt with a large loss.

    Attributes:
        id: Document id.
        base: Score in the base, averaged over seeds.
        new: Score in the new run, averaged over seeds.
        evidence: Responses of one seed; None if none are stored or none differ.
    """

    id: str
    base: float
    new: float
    evidence: Evidence | None = None


@dataclass(frozen=True)
class ComparedRow:
    """The comparison of one metric on one task, in the metric's own unit and direction.

    Attributes:
        task: Name of the task, or `AVG` for the plain mean over tasks.
        metric: Name of the metric.
        unit: Unit of the numbers.
        direction: Direction that is better, `higher` or `lower`.
        n: Number of prompts.
        base: Mean of the base.
        new: Mean of the new run.
        change: new - base.
        low: Lower end of the change's interval; None if n is too small for one.
        high: Upper end of the interval; None if n is too small for one.
        p: Two-sided p-value against "no change".
        p_adjusted: The p-value with Holm's correction over all rows.
        tolerance: Largest acceptable loss.
        least: Smallest change that the comparison detects with 80 % power; None for one prompt.
        needed: Number of prompts at which `least` equals the tolerance; None at tolerance 0.
        verdict: One of the five verdicts.
        within: Whether the whole interval is within the tolerance.
        worst: Prompts with the largest losses.
        category: Category of the task's prompts that the row is about; None for all prompts.
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
    category: str | None = None

    @property
    def name(self) -> str:
        """The task, or `task/category`."""
        return self.task if self.category is None else f"{self.task}/{self.category}"


@dataclass(frozen=True)
class Comparison:
    """The result of comparing two runs.

    Attributes:
        base: Title of the base.
        new: Title of the run that is judged.
        rows: Compared rows, in order; empty if there are problems.
        problems: Reasons why the runs cannot be compared.
        notes: What a reader must know, such as how many prompts were left out.
        rules: When the gate fails.
        method: How the rows were tested.
        tolerances: Requested tolerance of each metric.
    """

    base: str
    new: str
    rows: tuple[ComparedRow, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    rules: Rules
    method: RowTestMethod
    tolerances: Mapping[str, Tolerance]

    @property
    def decision(self) -> Decision:
        """The outcome, its reason and its exit code."""
        return decide(self.rows, self.problems, self.rules)

    @property
    def exit_code(self) -> int:
        """0 passed, 1 regressed, 2 not comparable, 3 a run is incomplete."""
        return self.decision.code
