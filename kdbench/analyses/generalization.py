"""Generalization: do students that gain accuracy answer like their teacher?

Question: on tasks with options or short answers, does a distilled student that is right more often
    than the undistilled one also give its teacher's answers more often?
Paper: Stanton et al. 2021 (arXiv 2106.05945) and Ramesh et al. 2025 (arXiv 2505.15442): gains in
    accuracy come without agreement with the teacher (certainty: abstracts and third-party notes).
    The measures of agreement are those of `kdbench.metrics.answers`, with their sources.
Ours: what counts as the claim. A method gains if its accuracy is above the undistilled student's,
    agrees more if its agreement with the teacher is, and gains without agreeing more if its
    agreement is not seen to rise, and is shown to rise by less than half of its gain. Each is a
    paired t test over training seeds, with Holm's correction over methods. One method that gains
    without agreeing more confirms the claim, which is that this can be; it is refuted if methods
    gain and all that do agree more; anything else does not settle it. Agreement rises with accuracy
    where the teacher is right, so Cohen's kappa of being right is shown next to it, which does not.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from kdbench.analyses import Analysis, analyses
from kdbench.analyses.answered.kinds import AnswerChange, answer_changes
from kdbench.analyses.answered.measures import AnswerMeasures
from kdbench.analyses.answered.panels import PARTS, answer_panels
from kdbench.analyses.answered.read import answered_table
from kdbench.analyses.answered.words import sentences
from kdbench.analyses.seeded.scores import runs_in
from kdbench.errors import InputError
from kdbench.stats.over_seeds import SeedMean
from kdbench.store.conclusions import (
    Conclusion,
    ConclusionCell,
    ConclusionColumn,
    ConclusionTable,
    Quantity,
    columns_of,
)

if TYPE_CHECKING:
    import numpy as np

    from kdbench.analyses.core.bench import AnalysisBench

_IN_ORDER = (0, 2, 3, 1, 4)
"""The cells as a reader expects them; a figure has those of agreement together."""


@analyses.register("generalization")
class Generalization(Analysis, group="Generalization"):
    """Whether students that gain accuracy answer like their teacher; it reads a filled table."""

    title: ClassVar[str] = "Generalization and agreement"
    question: ClassVar[str] = "Do students that gain accuracy answer like their teacher?"
    paper: ClassVar[str] = (
        "Stanton et al. 2021, arXiv 2106.05945; Ramesh et al. 2025, arXiv 2505.15442"
    )
    basis: ClassVar[str] = "abstracts, third-party notes"

    stored: Path | None = Field(
        None,
        description="Folder of results of a filled table with closed answers and several training "
        "seeds, which is needed",
    )
    undistilled: str | None = Field(
        None,
        description="Label of the row that learned without the teacher (default: the one that the "
        "results name)",
    )
    pooled: bool = Field(
        False,
        description="Whether one deviation over training seeds is taken for all methods, so that "
        "few seeds find more; it assumes that methods do not differ in it",
    )

    def run(self, bench: "AnalysisBench") -> Conclusion:  # noqa: ARG002 - trains nothing
        """Read the stored results."""
        if self.stored is None:
            raise InputError(
                "stored= is missing: the results of a filled table, such as "
                "results/smollm2-135m-skills after kdbench fill smollm2-135m-skills"
            )
        table = answered_table(runs_in(self.stored), self.undistilled, f"stored={self.stored}")
        settings = {  # others are of a training
            "undistilled": table.labels[0],
            "pooled": str(self.pooled).lower(),
        }
        found = self._conclude(AnswerMeasures(table, self.pooled))
        return found.model_copy(update={"settings": settings})

    def _conclude(self, measures: AnswerMeasures) -> Conclusion:
        changes = answer_changes(measures)
        return self.conclude(
            *sentences(measures, changes),
            tables=(
                _gain_table(measures, changes),
                _cell_table(measures, changes),
                _beyond_table(measures, changes),
                *_correlation_table(measures),
            ),
            panels=tuple(answer_panels(measures, changes)),
            notes=tuple(_notes(measures, self.stored)),
        )


def _rows_with(changes: Sequence[AnswerChange]) -> Iterator[tuple[int, AnswerChange | None]]:
    """The undistilled student's row, then those of the methods."""
    yield 0, None
    yield from ((change.row, change) for change in changes)


def _gain_table(measures: AnswerMeasures, changes: Sequence[AnswerChange]) -> ConclusionTable:
    columns = columns_of(
        "method",
        "accuracy",
        ConclusionColumn(title="gain", signed=True),
        "agreement",
        ConclusionColumn(title="change of agreement", signed=True),
        "what is seen",
    )
    rows: list[tuple[ConclusionCell, ...]] = [
        (
            measures.table.labels[row],
            _mean(measures, measures.accuracies, row),
            change.gain.quantity() if change else None,
            _mean(measures, measures.agreements, row),
            change.agreement.quantity() if change else None,
            None if change is None else change.kind,
        )
        for row, change in _rows_with(changes)
    ]
    title = f"Gain over {measures.table.labels[0]}, and agreement with the teacher"
    return ConclusionTable(title=title, columns=columns, rows=tuple(rows))


def _cell_table(measures: AnswerMeasures, changes: Sequence[AnswerChange]) -> ConclusionTable:
    rows: list[tuple[ConclusionCell, ...]] = [
        (
            measures.table.labels[row],
            *(_mean(measures, measures.table.cells[..., place], row) for place in _IN_ORDER),
        )
        for row, _ in _rows_with(changes)
    ]
    columns = columns_of("method", *(PARTS[place] for place in _IN_ORDER))
    return ConclusionTable(title="Who is right", columns=columns, rows=tuple(rows))


def _beyond_table(measures: AnswerMeasures, changes: Sequence[AnswerChange]) -> ConclusionTable:
    columns = columns_of(
        "method",
        "place between least and most",
        "kappa of being right",
        ConclusionColumn(title="change of kappa", signed=True),
        "one answer, where both are wrong",
        ConclusionColumn(title="KL over options", unit="nats"),
    )
    rows: list[tuple[ConclusionCell, ...]] = [
        (
            measures.table.labels[row],
            _mean(measures, measures.place, row),
            _mean(measures, measures.kappa, row),
            change.kappa.quantity() if change and change.kappa else None,
            _mean(measures, measures.same_wrong, row),
            _mean(measures, measures.option_kl, row),
        )
        for row, change in _rows_with(changes)
    ]
    title = "Agreement beyond what the two accuracies give"
    return ConclusionTable(title=title, columns=columns, rows=tuple(rows))


def _correlation_table(measures: AnswerMeasures) -> Iterator[ConclusionTable]:
    """How the gain goes with each measure; no table if none has a correlation."""
    wanted = {
        "agreement": measures.agreements,
        "kappa of being right": measures.kappa,
        "one answer, where both are wrong": measures.same_wrong,
        "KL over options": measures.option_kl,
    }
    rows: list[tuple[ConclusionCell, ...]] = []
    for name, values in wanted.items():
        if (found := measures.correlations(values)) is None:
            continue
        over = found.over_rows
        rows.append(
            (
                name,
                Quantity(
                    value=over.value, low=over.low, high=over.high, n=len(measures.table.seeds)
                ),
                _quantity(found.by_seed),
                _quantity(found.between_seeds),
            )
        )
    if rows:
        titles = ("of means over seeds", "within a seed", "between seeds")
        numbers = [ConclusionColumn(title=title, decimals=2, signed=True) for title in titles]
        title = "Rank correlation of the gain with other changes, over methods"
        yield ConclusionTable(title=title, columns=columns_of("change", *numbers), rows=tuple(rows))


def _notes(measures: AnswerMeasures, stored: Path | None) -> Iterator[str]:
    table, seeds = measures.table, len(measures.table.seeds)
    options = table.option_kl.shape[-1]
    with_options = f", {options} of them with options" if options else ""
    yield (
        f"{len(table.labels)} rows with {seeds} training seeds each, {len(table.tasks)} tasks"
        f"{with_options}: means over tasks. The teacher is right in {measures.teacher.mean():.3f} "
        f"of the answers."
    )
    yield (
        "Brackets hold 95 % intervals over training seeds, on these prompts; changes are paired by "
        "training seed, and their p-values are Holm's over methods. Intervals of correlations of "
        "means come from a bootstrap over methods and training seeds; within a seed, gain and "
        "agreement share the chance of one training, and between seeds they do not."
    )
    if measures.pooled:
        yield "Changes have one deviation over training seeds for all methods."
    for reason, labels in table.left_out.items():
        yield f"Left out, {reason}: {', '.join(labels)}."
    if stored is not None:
        yield f"Read from the results '{stored.name}'."


def _mean(measures: AnswerMeasures, values: "np.ndarray", row: int) -> Quantity | None:
    return _quantity(measures.mean(values, row))


def _quantity(found: SeedMean | None) -> Quantity | None:
    return None if found is None else Quantity.of(found)
