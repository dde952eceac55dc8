"""Budget: which method to pick for what a training may cost.

Question: methods differ in what a step costs: some generate, some ask a teacher. What does the
    dearer one buy, and which is the best that a budget allows?
Paper: none; the question is a user's. Dodge et al. 2019 (arXiv 1909.03004, certainty M: from
    memory) ask for results as a function of the budget. Statistics are textbook ones: paired t
    tests over training seeds with Holm's correction, Fieller's interval of a ratio.
Formulas: seconds of a step = seconds without generation + T · seconds a generated token, with the
    tokens T a step of the whole training; see `kdbench.analyses.budgeted.costs`. A method is on the
    Pareto front unless another costs no more, is no worse, and is better in one of the two.
Ours: trainings are timed alone, a few steps each, as those that filled a table often ran side by
    side; and the pick under a budget is the cheapest method, unless a dearer one within it is shown
    to be better: see `kdbench.analyses.budgeted.picks`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from kdbench.analyses import Analysis, analyses
from kdbench.analyses.budgeted.joined import join
from kdbench.analyses.budgeted.shown import budget_tables, panels
from kdbench.analyses.budgeted.table import BudgetTable, WantedRows, budget_table
from kdbench.analyses.budgeted.timing import (
    Needed,
    check_one_machine,
    find_bench,
    needed_timings,
    time_rows,
)
from kdbench.analyses.budgeted.words import notes, sentences
from kdbench.analyses.core.bench import AnalysisBench, StoppedAnalysis
from kdbench.config import FillSettings, Names
from kdbench.config.kinds import AtLeastOne, given_keys
from kdbench.errors import InputError
from kdbench.filling.spec import TableSpec, read_spec
from kdbench.filling.spec_files import find_spec
from kdbench.store.conclusions import Conclusion
from kdbench.store.timings import RowTiming, read_timings

_OF_THE_TABLE = {
    *("world", "teacher", "student", "train_seeds", "steps", "limit", "out"),
    *("workers", "executor", "executor_options", "retries"),
}
"""Keys of other analyses; a table's file has its own, and its rows are timed one by one, here."""


@analyses.register("budget")
class Budget(Analysis, group="Budget"):
    """Which method to pick under a budget: seconds and tokens of a training alone, and quality.

    It reads the results of a filled table, and times a few steps of each row's training, one after
    the other. Timings are kept with the results, so that a second call needs no model.
    """

    title: ClassVar[str] = "Budget"
    question: ClassVar[str] = "Which method should one pick for what a training may cost?"
    paper: ClassVar[str] = "after Dodge et al. 2019, arXiv 1909.03004"
    basis: ClassVar[str] = "memory; textbook statistics"

    table_file: str | None = Field(
        None,
        alias="table",
        description="Table file, or the name of a bundled one, whose rows are filled",
    )
    stored: Path | None = Field(
        None, description="Folder of the table's results (default: as in the table file)"
    )
    models: Path | None = Field(
        None, description="Folder of the table's checkpoints (default: as in the table file)"
    )
    rows: Names = Field((), description="Rows to compare, by label (default: all)")
    baseline: str | None = Field(
        None,
        description="Row that the others are compared with, by label (default: the table's "
        "undistilled, else the first of method=sft)",
    )
    metric: str = Field("rougeL", description="Metric of quality, whose mean over tasks counts")
    timed_steps: AtLeastOne = Field(
        8, description="Steps to time of each training, after a warm-up step"
    )
    clock: Literal["auto", "seconds", "processor"] = Field(
        "auto",
        description="What costs are: seconds on the wall, or of the processor; auto is the latter "
        "if others used the machine",
    )

    def run(self, bench: AnalysisBench) -> Conclusion:  # noqa: ARG002 - it fills no table
        """Time what has no timing yet, and join costs and results."""
        for key in given_keys(self):
            if key in _OF_THE_TABLE:
                raise InputError(
                    f"{key}=: is no key of budget, which reads a filled table and times its rows "
                    "one after the other; leave it out"
                )
        if self.table_file is None:
            raise InputError("table= is missing: name a filled table, as in table=toy")
        file = find_spec(self.table_file)
        spec = read_spec(file, self.changes)
        results = self.stored or spec.results or Path("results") / file.stem
        wanted = WantedRows(self.rows, self.baseline, self.metric, self.plugins)
        table = budget_table(spec, file, results, wanted)
        timings, not_timed = self._timings(spec, file, table, results)
        check_one_machine(timings, results)
        clock = None if self.clock == "auto" else self.clock
        found = join(
            table, {label: one.training for label, one in timings.items()}, clock, not_timed
        )
        settings = {"table": file.stem, "metric": self.metric, "clock": found.clock}
        return self.conclude(
            *sentences(found),
            tables=budget_tables(found),
            panels=panels(found),
            notes=tuple(notes(found)),
        ).model_copy(update={"settings": {**settings, "baseline": table.baseline}})

    def _timings(
        self, spec: TableSpec, file: Path, table: BudgetTable, results: Path
    ) -> tuple[dict[str, RowTiming], dict[str, str]]:
        """The timings of the table's rows, and why rows have none.

        Raises:
            InputError: No row has a timing, and none can be timed here.
            StoppedAnalysis: It is a dry run, and some would be timed.
        """
        stored = read_timings(results)
        asked = self.timed_steps if "timed_steps" in self.model_fields_set else None
        needed = needed_timings(table.rows, stored, asked)
        failed: dict[str, str] = {}
        if needed:
            try:
                found = find_bench(spec, self._folders(file, results), file)
            except InputError as error:
                _check_some_are_stored(table, stored, asked, str(error))
                failed = {one.row.label: f"{one.reason}: {error}" for one in needed}
            else:
                if self.dry_run:
                    raise StoppedAnalysis(_dry_run_lines(table, needed, found.missing), {})
                stored, failed = time_rows(needed, found, results, self.timed_steps)
        return _usable(table, stored), failed

    def _folders(self, file: Path, results: Path) -> FillSettings:
        return FillSettings(
            table=str(file),
            data=self.data,
            models=self.models,
            results=results,
            device=self.device,
            plugins=self.plugins,
        )


def _usable(table: BudgetTable, stored: Mapping[str, RowTiming]) -> dict[str, RowTiming]:
    """The stored timings of rows whose keys have not changed since."""
    current = {row.label: row.keys for row in table.rows}
    return {label: one for label, one in stored.items() if one.keys == current.get(label)}


def _check_some_are_stored(
    table: BudgetTable, stored: Mapping[str, RowTiming], asked: int | None, reason: str
) -> None:
    """Check that there is something to answer with, where nothing can be timed.

    Raises:
        InputError: There is not, or `timed_steps=` asks for more than there is.
    """
    if not _usable(table, stored):
        raise InputError(f"no row is timed yet, and none can be here: {reason}")
    if asked is not None:
        raise InputError(f"timed_steps={asked}: fewer are stored, and none can be timed: {reason}")


def _dry_run_lines(table: BudgetTable, needed: list[Needed], missing: Mapping[str, str]) -> str:
    reasons = {one.row.label: one.reason for one in needed}
    lines = []
    for row in table.rows:
        if row.label not in reasons:
            lines.append(f"timed    {row.label}")
        else:
            status = "blocked" if row.label in missing else "missing"
            lines.append(f"{status}  {row.label}: {missing.get(row.label, reasons[row.label])}")
    return "".join(f"{line}\n" for line in lines)
