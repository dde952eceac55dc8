"""What a table is, whatever it is drawn as."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

_BOUNDS = {"lower": "≥", "upper": "≤"}


@dataclass(frozen=True)
class Cell:
    """A number in a table.

    Attributes:
        value: in the metric's unit.
        ci_low: lower end of its 95 % interval over prompts, if known.
        ci_high: upper end.
        sd: standard deviation over seeds, if known.
        n: prompts behind it, if known.
        decimals: digits to print.
        unverified: recalled from a paper, not read again.
        best: best of its column among the rows of its group, or not shown to differ from that.
        bound: `lower` or `upper` where the value is a bound of the true one.
    """

    value: float
    ci_low: float | None = None
    ci_high: float | None = None
    sd: float | None = None
    n: int | None = None
    decimals: int = 2
    unverified: bool = False
    best: bool = False
    bound: str | None = None


@dataclass(frozen=True)
class TableRow:
    """A method's line.

    Attributes:
        label: the method.
        kind: who says so: `measured` by kdbench, or `reported` by a paper or page.
        ranked: whether it takes part in "best"; teachers and composites do not.
        source: of a reported row: title and address; of a measured one: its run folder.
        cells: one a column, None where there is no number.
        note: what a reader must know.
        day: on which a measurement began, such as `2026-11-22`.
        machine: that it ran on.
    """

    label: str
    kind: Literal["measured", "reported"]
    ranked: bool
    source: str
    cells: tuple[Cell | None, ...]
    note: str = ""
    day: str = ""
    machine: str = ""


@dataclass(frozen=True)
class Group:
    """Rows of one setting; only these compare.

    Attributes:
        id: short, for `settings=`.
        title: for readers.
        rows: in order.
        tested: measured rows were compared with the best ones.
    """

    id: str
    title: str
    rows: tuple[TableRow, ...]
    tested: bool = False

    @property
    def measured(self) -> bool:
        """Whether kdbench measured its rows."""
        return any(row.kind == "measured" for row in self.rows)

    def prompts(self, column: int) -> str:
        """The number of prompts behind a measured column: `500`, or `20-500` where rows differ."""
        cells = [row.cells[column] for row in self.rows if row.kind == "measured"]
        counts = sorted({cell.n for cell in cells if cell is not None and cell.n is not None})
        return "–".join(map(str, dict.fromkeys([counts[0], counts[-1]]))) if counts else ""


@dataclass(frozen=True)
class Content:
    """What a table holds, and its words.

    Attributes:
        metric: what the cells show.
        unit: of the metric.
        columns: titles, AVG last.
        groups: in order.
        error: which error bars cells show.
        meanings: what each column shows, where they are not all of one metric.
    """

    metric: str
    unit: str
    columns: tuple[str, ...]
    groups: tuple[Group, ...]
    error: Literal["ci", "sd", "both", "none"]
    meanings: tuple[str, ...] = ()

    def text(self, cell: Cell | None) -> str:
        """A cell's number with its error bars, unmarked: `23.75 [22.90, 24.61]`."""
        if cell is None:
            return ""
        mark = _BOUNDS[cell.bound] if cell.bound else ""
        words = [f"{mark}{cell.value:.{cell.decimals}f}"]
        # A paper prints the deviation over seeds alone; it is shown whichever bar is asked for.
        reported = cell.n is None
        if cell.sd is not None and (self.error in ("sd", "both") or (reported and self.shows)):
            words.append(f"± {cell.sd:.{cell.decimals}f}")
        if cell.ci_low is not None and cell.ci_high is not None and self.error in ("ci", "both"):
            words.append(f"[{cell.ci_low:.{cell.decimals}f}, {cell.ci_high:.{cell.decimals}f}]")
        return " ".join(words)

    def sources(self) -> list[str]:
        """The sources of reported rows, each once; `kind_of` gives their numbers, from 1."""
        rows = [row for group in self.groups for row in group.rows]
        return list(dict.fromkeys(row.source for row in rows if row.kind == "reported"))

    def kind_of(self, row: TableRow) -> str:
        """`measured`, or `reported [3]` with the number of its source."""
        if row.kind == "measured":
            return row.kind
        return f"{row.kind} [{self.sources().index(row.source) + 1}]"

    @property
    def shows(self) -> bool:
        """Whether cells have error bars at all."""
        return self.error != "none"

    def row_notes(self) -> list[str]:
        """What a reader must know of single rows, `label: note`."""
        rows = [row for group in self.groups for row in group.rows]
        return list(dict.fromkeys(f"{row.label}: {row.note}" for row in rows if row.note))

    def _when_and_where(self) -> str:
        rows = [row for group in self.groups for row in group.rows if row.kind == "measured"]
        days = sorted({row.day for row in rows if row.day})
        machines = sorted({row.machine for row in rows if row.machine})
        when = " to ".join(dict.fromkeys([*days[:1], *days[-1:]]))
        return (f" {when}" if when else "") + (f" on {', '.join(machines)}" if machines else "")

    def notes(self, best: str = "Bold") -> Sequence[str]:
        """What the marks mean, of those that occur.

        Args:
            best: the mark of the best.
        """
        rows = [row for group in self.groups for row in group.rows]
        cells = [cell for row in rows for cell in row.cells if cell is not None]
        notes = [f"{what}." for what in self.meanings] or [f"{self.metric}, {self.unit}."]
        if self.meanings:
            notes.append("↑: higher is better, ↓: lower is better.")
        if any(cell.n is not None for cell in cells):
            bars = {
                "ci": "[95 % bootstrap interval over prompts]",
                "sd": "± standard deviation over seeds",
                "both": "± standard deviation over seeds, [95 % bootstrap interval over prompts]",
                "none": "no error bars",
            }
            notes.append(f"measured: by kdbench{self._when_and_where()}, {bars[self.error]}.")
        if any(row.kind == "reported" for row in rows):
            deviation = ", ± deviation over seeds if given" if self.shows else ""
            notes.append(f"reported: copied from the row's source{deviation}.")
        if any(cell.unverified for cell in cells):
            notes.append("†: recalled from the paper, not read again.")
        if any(cell.bound for cell in cells):
            notes.append("≥, ≤: a bound; the teacher's cached top tokens decide no more.")
        if any(cell.best for cell in cells):
            alike = (
                "; of measured rows also those that a paired test does not tell from it "
                "(sign flips over prompts, Holm, 5 %)"
                if any(group.tested for group in self.groups)
                else ""
            )
            notes.append(f"{best}: best of its column among the students of one setting{alike}.")
        return notes
