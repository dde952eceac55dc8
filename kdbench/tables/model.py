"""What a table holds, in whatever form it is drawn, and the notes below it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from kdbench.tables.provenance import Provenance
from kdbench.text import interval, number

_TEST = "sign-flip test paired by prompt{}, Holm-corrected, at the 5 % level"
_OF_RECIPES = ", and between rows of several training seeds also a t test over them and prompts"


@dataclass(frozen=True)
class Cell:
    """A number in a table.

    Attributes:
        value: Number, in the metric's unit.
        ci_low: Lower end of its 95 % interval over prompts, if known.
        ci_high: Upper end of that interval.
        sd: Standard deviation over seeds, if known.
        n: Number of prompts, if known.
        decimals: Decimals to print.
        unverified: Whether it was recalled from a paper and not checked.
        second_hand: Whether it was read in a third party's note, not in the paper.
        best: Whether it is the best of its column and group, or not significantly different.
        bound: `lower` or `upper` if the value is a bound of the true one.
    """

    value: float
    ci_low: float | None = None
    ci_high: float | None = None
    sd: float | None = None
    n: int | None = None
    decimals: int = 2
    unverified: bool = False
    second_hand: bool = False
    best: bool = False
    bound: str | None = None

    @property
    def mark(self) -> str:
        """The mark of a published number that was not read in its source; empty for others."""
        return "†" if self.unverified else "‡" if self.second_hand else ""


@dataclass(frozen=True)
class TableRow:
    """A row of a table.

    Attributes:
        label: Method, and model if its name differs.
        kind: `measured` by kdbench, or `reported` by a paper or page.
        ranked: Whether it can be the best; teachers and composites cannot.
        source: Title and address of a reported row, run folder of a measured one.
        cells: One cell for each column, None where there is no number.
        note: Note on the row, below the table.
        day: Day on which its measurement started: `2026-11-22`.
        machine: Machine that measured it.
        training_seeds: Seeds of the trainings whose mean it is; empty if they are unknown.
        provenance: Where a measured row comes from.
        harness: Program that measured it.
    """

    label: str
    kind: Literal["measured", "reported"]
    ranked: bool
    source: str
    cells: tuple[Cell | None, ...]
    note: str = ""
    day: str = ""
    machine: str = ""
    training_seeds: tuple[int, ...] = ()
    provenance: Provenance | None = None
    harness: str = "kdbench"


@dataclass(frozen=True)
class Group:
    """Rows that may be compared with each other, and with no others.

    Attributes:
        id: Short name, for `settings=`.
        title: Heading of the rows.
        rows: Rows, in order.
        tested: Whether the best rows were compared with the others by a test.
        verdict: What the test of the average column found, in words.
    """

    id: str
    title: str
    rows: tuple[TableRow, ...]
    tested: bool = False
    verdict: str = ""

    @property
    def measured(self) -> bool:
        """Whether kdbench measured its rows."""
        return any(row.kind == "measured" for row in self.rows)

    def prompts(self, column: int) -> str:
        """The number of prompts of a measured column: `500`, or `20–500` where rows differ."""
        cells = [row.cells[column] for row in self.rows if row.kind == "measured"]
        counts = sorted({cell.n for cell in cells if cell is not None and cell.n is not None})
        return "–".join(map(str, dict.fromkeys([counts[0], counts[-1]]))) if counts else ""


@dataclass(frozen=True)
class ColumnHead:
    """What a column shows.

    Attributes:
        name: Its title without an arrow.
        metric: Name of the metric.
        tasks: Tasks whose results it shows, or averages; empty for a cost.
        unit: Unit of the metric.
        direction: Which is better: `higher`, `lower` or `none`; None if unknown.
    """

    name: str
    metric: str
    tasks: tuple[str, ...]
    unit: str
    direction: str | None


@dataclass(frozen=True)
class Content:
    """The content of a table, without its form.

    Attributes:
        metric: Metric that the cells show, unless `meanings` describe the columns.
        unit: Unit of that metric.
        columns: Titles of the columns.
        groups: Groups of rows, in order.
        error: Error bars that the cells show.
        meanings: Sentences that describe the columns, if they were chosen with `columns=`.
        heads: What each column shows; empty if unknown.
        keeps_errors: Whether a terminal that is too narrow shows the error bars nevertheless.
        details: Whether a document says where each measured row comes from.
    """

    metric: str
    unit: str
    columns: tuple[str, ...]
    groups: tuple[Group, ...]
    error: Literal["ci", "sd", "both", "none"]
    meanings: tuple[str, ...] = ()
    heads: tuple[ColumnHead, ...] = ()
    keeps_errors: bool = False
    details: bool = True

    @property
    def rows(self) -> list[TableRow]:
        """The rows of all groups, in order."""
        return [row for group in self.groups for row in group.rows]

    @property
    def cells(self) -> list[Cell]:
        """The cells of all rows that hold a number."""
        return [cell for row in self.rows for cell in row.cells if cell is not None]

    def text(self, cell: Cell | None) -> str:
        """A cell's number with its error bars, without marks: `23.75 [22.90, 24.61]`."""
        return "" if cell is None else " ".join(self.parts(cell))

    def parts(self, cell: Cell) -> list[str]:
        """A cell's number and each of its error bars: `23.75`, `[22.90, 24.61]`."""
        texts = [number(cell.value, cell.decimals, cell.bound)]
        # A paper's only error bar is the deviation over seeds, so it is shown for both kinds.
        reported = cell.n is None
        if cell.sd is not None and (self._shows_sd or (reported and self.error != "none")):
            texts.append(f"± {cell.sd:.{cell.decimals}f}")
        if self._shows_ci and (ends := interval(cell.ci_low, cell.ci_high, cell.decimals)):
            texts.append(ends)
        return texts

    @property
    def _shows_sd(self) -> bool:
        return self.error in ("sd", "both")

    @property
    def _shows_ci(self) -> bool:
        return self.error in ("ci", "both")

    def sources(self) -> list[str]:
        """The sources of reported rows, each once; `kind_of` numbers them from 1."""
        return list(dict.fromkeys(row.source for row in self.rows if row.kind == "reported"))

    def kind_of(self, row: TableRow) -> str:
        """`measured`, or `reported [3]` with the number of the row's source."""
        if row.kind == "measured":
            return row.kind
        return f"{row.kind} [{self.sources().index(row.source) + 1}]"

    def row_notes(self) -> list[str]:
        """The notes on single rows, `label: note`, each once."""
        return list(dict.fromkeys(f"{row.label}: {row.note}" for row in self.rows if row.note))

    def origins(self) -> list[tuple[str, Provenance]]:
        """The label of each measured row and where it comes from; none without details."""
        if not self.details:
            return []
        known = [(row.label, row.provenance) for row in self.rows if row.provenance is not None]
        return list(dict.fromkeys(known))

    def verdicts(self) -> list[str]:
        """What the tests of the groups found, a sentence each; with several, after the title."""
        groups = [group for group in self.groups if group.verdict]
        if len(groups) == 1:
            return [groups[0].verdict]
        return [f"{group.title}: {group.verdict}" for group in groups]

    def notes(self, best: str = "bold") -> Sequence[str]:
        """Sentences that explain the columns, and the marks that occur in the table.

        Args:
            best: Mark of the best students.
        """
        notes = [*(self.meanings or [f"Cells show {self.metric} ({self.unit})."])]
        if self.meanings:
            notes.append("↑: higher is better; ↓: lower is better.")
        if any(cell.n is not None for cell in self.cells):
            harnesses = dict.fromkeys(row.harness for row in self.rows if row.kind == "measured")
            by = listed(sorted(harnesses))
            notes.append(f"The measured rows come from {by}{self._when_and_where()}.")
            if self._shows_sd:
                notes.append("± is the standard deviation over seeds.")
            if self._shows_ci:
                notes.append("Brackets hold the 95 % interval over prompts.")
        notes += self._training_notes()
        if any(row.kind == "reported" for row in self.rows):
            deviation = ", with its standard deviation over seeds (±) if it gives one"
            shown = deviation if self.error != "none" else ""
            notes.append(f"Each reported row is copied from its source{shown}.")
        if any(cell.unverified for cell in self.cells):
            notes.append("† marks numbers recalled from a paper and not checked against it.")
        if any(cell.second_hand for cell in self.cells):
            notes.append("‡ marks numbers read in a third party's note, not in the paper.")
        if any(cell.bound for cell in self.cells):
            notes.append(
                "≥ and ≤ mark bounds: the teacher's scores cover only its top tokens, or only "
                "those that the student's vocabulary has too."
            )
        if any(cell.best for cell in self.cells):
            notes.append(f"Within each setting, {best} marks {self._best_students()}.")
        return notes

    def _training_notes(self) -> list[str]:
        """Whether the rows are recipes, whose trainings vary, or single checkpoints."""
        seeds = {row.training_seeds for row in self.rows if row.ranked and row.training_seeds}
        several = [row_seeds for row_seeds in seeds if len(row_seeds) > 1]
        notes = []
        if several:
            counts = sorted({len(row_seeds) for row_seeds in several})
            how_many = "–".join(map(str, dict.fromkeys([counts[0], counts[-1]])))
            sd = "; their ± is that of sampling seeds alone" if self._shows_sd else ""
            notes.append(
                f"Rows of {how_many} training seeds show their mean, whose brackets hold the 95 % "
                f"interval over training seeds and prompts{sd}."
            )
        if len(several) < len(seeds):
            of_one = (
                "The other trained rows are of one training seed: what they show holds for these "
                "checkpoints"
                if several
                else "Each trained row is of one training seed: what it shows holds for that "
                "checkpoint"
            )
            notes.append(f"{of_one}, and another training of the same recipe differs.")
        return notes

    def _when_and_where(self) -> str:
        rows = [row for row in self.rows if row.kind == "measured"]
        days = sorted({row.day for row in rows if row.day})
        machines = sorted({row.machine for row in rows if row.machine})
        when = f" on {days[0]}" if days else ""
        if len(days) > 1:
            when = f" between {days[0]} and {days[-1]}"
        where = f" on {listed(machines)}" if machines else ""
        return f", run{when}{where}" if when or where else ""

    def _best_students(self) -> str:
        best = "the best student in a column"
        if not any(group.tested for group in self.groups):
            return best
        recipes = [row for row in self.rows if len(row.training_seeds) > 1]
        test = _TEST.format(_OF_RECIPES if len(recipes) > 1 else "")
        return f"{best} and any measured one not significantly different from it ({test})"


def listed(names: Sequence[str]) -> str:
    """Names as a phrase: `a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
