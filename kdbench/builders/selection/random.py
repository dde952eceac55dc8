"""Random rows: the control with which every other rule is compared."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from kdbench.builders.selection import SelectionRule, selection_rules

if TYPE_CHECKING:
    from kdbench.builders.workshop.workshop import Workshop
    from kdbench.distillation.rows import TrainingRow


@selection_rules.register("random")
class RandomRows(SelectionRule):
    """Rows at random, as a control.

    The draw of a row depends on `seed=` and its id alone, so that a smaller share is a part of a
    larger one.
    """

    title: ClassVar[str] = "Random rows"
    paper: ClassVar[str] = "none: a control"

    def scores(self, work: "Workshop", rows: "Sequence[TrainingRow]") -> Mapping[str, float]:
        """A number of [0, 1) for each row."""
        return {row.id: work.random("random row", row.id).random() for row in rows}
