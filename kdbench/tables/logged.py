"""Columns of the training log: the mean of a value over the last quarter of its lines."""

from collections.abc import Sequence

from kdbench.store.runs import StoredRun
from kdbench.tables.column import Column
from kdbench.tables.model import Cell

LOGGED = "log:"  # starts the name of such a column
_DECIMALS = 4


class LogColumn(Column):
    """A column of a logged value, which has no unit and no better direction."""

    @property
    def predicates(self) -> tuple[str, str]:
        """The predicate of the sentence that describes the columns, in singular and plural."""
        of = "over the last quarter of the training log's lines"
        return f"is the value's mean {of}", f"are the values' means {of}"

    @property
    def subject(self) -> str:
        """The column, as the subject of the sentence that describes it."""
        return self.name

    def cell(self, run: StoredRun) -> Cell | None:
        """The run's mean; None if a training's record does not have the value."""
        values = [logged_value(one, self.metric) for one in run.trainings or (run,)]
        known = [value for value in values if value is not None]
        if len(known) < len(values):
            return None
        return Cell(sum(known) / len(known), decimals=_DECIMALS)


def log_column(name: str) -> LogColumn:
    """The column of a name such as `log:kl_to_reference`."""
    return LogColumn(name, name.removeprefix(LOGGED), (), False, "", "none")


def logged_value(run: StoredRun, name: str) -> float | None:
    """The mean that a run's record has of a logged value; None if it has none.

    Args:
        run: A run of one training.
        name: Name of the value, without `log:`.
    """
    logged = (run.record.get("training") or {}).get("log") or {}
    return float(logged[name]) if name in logged else None


def logged_names(runs: Sequence[StoredRun]) -> set[str]:
    """The names of the columns that runs have values for."""
    return {
        f"{LOGGED}{name}"
        for row in runs
        for run in row.trainings or (row,)
        for name in (run.record.get("training") or {}).get("log") or {}
    }
