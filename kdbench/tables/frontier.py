"""The column of the gain over the baseline's curve, which `kdbench frontier` has stored."""

from dataclasses import dataclass, field
from pathlib import Path

from kdbench.store.frontiers import FrontierRecord, FrontierStudent, read_frontier
from kdbench.store.runs import StoredRun
from kdbench.tables.column import Column
from kdbench.tables.model import Cell
from kdbench.text import DECIMALS

FRONTIER_GAIN = "frontier_gain"


@dataclass(frozen=True)
class FrontierColumn(Column):
    """A column of gains.

    Attributes:
        record: The stored frontier; None if there is none.
    """

    record: FrontierRecord | None = field(default=None, repr=False)

    @property
    def subject(self) -> str:
        """The column, as the subject of the sentence that describes it."""
        return self.name

    @property
    def predicates(self) -> tuple[str, str]:
        """The predicate of the sentence that describes the column; it has no plural."""
        record = self.record
        if record is None:
            predicate = "is not measured; run kdbench frontier"
        else:
            predicate = (
                f"is the mean gain in {record.metric} ({record.unit}, positive is better) over the "
                f"curve of {record.baseline} at equal entropy"
            )
        return predicate, predicate

    def cell(self, run: StoredRun) -> Cell | None:
        """The gain of the student with the row's checkpoints; None for any other row."""
        student = self._student(run)
        if student is None or student.gain is None or self.record is None:
            return None
        gain, decimals = student.gain, DECIMALS.get(self.record.unit, 2)
        return Cell(gain.value, gain.low, gain.high, n=self.record.prompts, decimals=decimals)

    def _student(self, run: StoredRun) -> FrontierStudent | None:
        trainings = run.trainings or (run,)
        hashes = {training.record["model"].get("sha256") for training in trainings}
        return None if self.record is None else self.record.student_of(hashes)


def frontier_column(results: Path) -> FrontierColumn:
    """The column, read from a folder of results.

    Raises:
        InputError: The stored frontier is damaged.
    """
    record = read_frontier(results)
    # No direction, since the best number is marked only where rows are tested against each other.
    return FrontierColumn(FRONTIER_GAIN, FRONTIER_GAIN, (), False, "", "none", record=record)
