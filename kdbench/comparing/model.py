"""The result of a comparison, independent of how it is written down."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kdbench.comparing.tolerance import Tolerance
from kdbench.comparing.verdict import Decision, Problem, Rules, Verdict, decide
from kdbench.comparing.word_diff import DiffSpan, word_diff
from kdbench.stats.defaults import RESAMPLES
from kdbench.system.frames import COUNT, FLAG, NUMBER, TEXT, frame
from kdbench.system.notebook import html_table
from kdbench.text import DECIMALS, signed

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = {
    "base_run": TEXT,
    "new_run": TEXT,
    "task": TEXT,
    "category": TEXT,
    "metric": TEXT,
    "unit": TEXT,
    "direction": TEXT,
    "n": COUNT,
    **dict.fromkeys(("base", "new", "change", "low", "high", "p", "p_adjusted"), NUMBER),
    "tolerance": NUMBER,
    "least": NUMBER,
    "needed": COUNT,
    "verdict": TEXT,
    "within": FLAG,
}


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
class ScoresOfSeed:
    """The scores of both responses of a seed.

    Attributes:
        seed: Seed of the sampling.
        base: Score of the base's response; None if unknown.
        new: Score of the new run's response; None if unknown.
    """

    seed: int
    base: float | None
    new: float | None


@dataclass(frozen=True)
class Evidence:
    """What was asked, and the responses of the seed whose scores differ most.

    Attributes:
        seed: Seed of the sampling; None where a model chooses an option.
        base: Response of the base, or the option it chose; None if it is not stored.
        new: Response of the new run; None if it is not stored.
        base_score: Score of the base's response; None if unknown.
        new_score: Score of the new run's response; None if unknown.
        differing: Scores of each seed whose responses differ, the largest loss first.
        n_seeds: Number of seeds, with those whose responses are alike.
        prompt: Prompt; None if it is not known.
        question: The prompt without the lines that all prompts of the task have in common; None if
            the prompt is not known.
        references: References; empty if there are none or they are not known.
    """

    seed: int | None
    base: str | None
    new: str | None
    base_score: float | None
    new_score: float | None
    differing: tuple[ScoresOfSeed, ...] = ()
    n_seeds: int = 1
    prompt: str | None = None
    question: str | None = None
    references: tuple[str, ...] = ()

    @property
    def diff(self) -> tuple[DiffSpan, ...]:
        """The words that differ between the two responses; empty if one is not stored."""
        if self.base is None or self.new is None:
            return ()
        return word_diff(self.base, self.new)


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

    @property
    def shortfall(self) -> str:
        """What the row can see: `dolly rougeL sees a loss of 2.36 with 100 prompts, allows …`."""
        digits = DECIMALS.get(self.unit, 2)
        sees = "no loss" if self.least is None else f"a loss of {self.least:.{digits}f}"
        if self.needed is None:
            needs = "needs a tolerance above 0" if self.tolerance == 0 else "needs more prompts"
        elif self.needed <= self.n:
            needs = f"changed by {signed(self.change, digits)}: too close to decide"
        else:
            needs = f"needs {self.needed} prompts"
        return (
            f"{self.name} {self.metric} sees {sees} with {self.n} prompt{'s' * (self.n != 1)}, "
            f"allows {self.tolerance:.{digits}f}, {needs}"
        )


@dataclass(frozen=True, repr=False)
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

    def __repr__(self) -> str:
        return f"Comparison({self.new!r} against {self.base!r}: {self.decision})"

    def to_pandas(self) -> "pd.DataFrame":
        """Return the compared rows as a data frame, with the fields of `ComparedRow`."""
        runs = {"base_run": self.base, "new_run": self.new}
        return frame(({**runs, **vars(row)} for row in self.rows), _COLUMNS)

    def _repr_html_(self) -> str:
        titles = ("task", "metric", "prompts", "base", "new", "change", "interval", "p", "verdict")
        notes = [str(self.decision), *(problem.text for problem in self.problems), *self.notes]
        caption = f"{self.new} against {self.base}"
        verdict = len(titles) - 1
        rows = [_texts(row) for row in self.rows]
        return html_table(titles, rows, caption=caption, notes=notes, left=(0, 1, verdict))


def _texts(row: ComparedRow) -> list[str]:
    digits = DECIMALS.get(row.unit, 2)
    low = "−∞" if row.low is None else signed(row.low, digits)
    high = "∞" if row.high is None else signed(row.high, digits)
    means = (f"{row.base:.{digits}f}", f"{row.new:.{digits}f}", signed(row.change, digits))
    p = "<0.001" if row.p_adjusted < 0.001 else f"{row.p_adjusted:.3f}"
    return [row.name, row.metric, str(row.n), *means, f"[{low}, {high}]", p, row.verdict]
