"""Uncertainty sampling: the rows whose first token a model knows the least; a control.

The usual rule of active learning, with which `pcoreset` is compared. Score: the entropy in nats of
the same distribution as there, (1-a) q + a p, of which all tokens count.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from kdbench.builders.selection import selection_rules
from kdbench.builders.selection.parts.first_token import FirstToken

if TYPE_CHECKING:
    from kdbench.builders.workshop.workshop import Workshop
    from kdbench.distillation.rows import TrainingRow


@selection_rules.register("entropy")
class MostUncertain(FirstToken):
    """The rows whose first token a model knows the least, as a control."""

    title: ClassVar[str] = "Uncertainty sampling"
    paper: ClassVar[str] = "Settles 2009, Active Learning Literature Survey"
    basis: ClassVar[str] = "memory; a control"

    def scores(self, work: "Workshop", rows: "Sequence[TrainingRow]") -> Mapping[str, float]:
        """The entropy of the distribution for each row."""
        return self.entropies(work, rows)
