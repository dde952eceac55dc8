"""Columns of what a row's average varies with: prompts, training seeds and sampling seeds."""

from dataclasses import dataclass

from kdbench.store.runs import StoredRun
from kdbench.tables.column import Column
from kdbench.tables.model import Cell
from kdbench.tables.recipes import recipe_mean
from kdbench.text import DECIMALS

DEVIATIONS = {
    "sd_prompts": ("prompts", "sets of as many prompts"),
    "sd_training": ("training", "training seeds, beyond the chance in their responses"),
    "sd_sampling": ("sampling", "sampling seeds of one student"),
}
"""Which of the variances each column shows, and what it is between."""


@dataclass(frozen=True)
class DeviationColumn(Column):
    """The standard deviation that redrawing one thing would give a row's average.

    Attributes:
        what: Name of the column.
    """

    what: str = ""

    @property
    def predicates(self) -> tuple[str, str]:
        """The predicate of the sentence that describes the column; it has no plural."""
        between = DEVIATIONS[self.what][1]
        predicate = f"is the standard deviation of the mean {self.metric} between {between}"
        return predicate, predicate

    @property
    def subject(self) -> str:
        """The column, as the subject of the sentence that describes it."""
        return self.name

    def cell(self, run: StoredRun) -> Cell | None:
        """The run's cell; None if it is not the mean of several trainings."""
        found = recipe_mean(run, self.tasks, self.metric) if run.trainings else None
        if found is None:
            return None
        value = getattr(found.variances, DEVIATIONS[self.what][0])
        return None if value is None else Cell(value, decimals=DECIMALS.get(self.unit, 2))


def deviation_column(name: str, average: Column) -> DeviationColumn:
    """The column of a deviation.

    Args:
        name: One of `DEVIATIONS`.
        average: Column of the mean that varies.
    """
    return DeviationColumn(
        name, average.metric, average.tasks, True, average.unit, "none", what=name
    )
