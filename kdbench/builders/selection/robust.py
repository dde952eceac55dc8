"""Active product: rows of which the student is unsure and the teacher is sure.

Paper: Robust Active Distillation; its abstract alone was read. It chooses points that are both
    informative and rightly labelled by the teacher, without a parameter, by a game. This is not its
    algorithm: the product is ours, in the spirit of the abstract.
Score: (1 - mean max q) · (mean max p), over the tokens of the teacher's greedy response.
"""

from typing import TYPE_CHECKING, ClassVar

from kdbench.builders.selection import selection_rules
from kdbench.builders.selection.parts.scored import TeacherAndStudent

if TYPE_CHECKING:
    from kdbench.builders.workshop.scoring import Distributions


@selection_rules.register("robust")
class ActiveProduct(TeacherAndStudent):
    """The rows with the largest product of student uncertainty and teacher confidence.

    It is not the algorithm of the paper whose aim it shares.
    """

    title: ClassVar[str] = "Robust active distillation (adapted): active product"
    paper: ClassVar[str] = "Robust Active Distillation"
    basis: ClassVar[str] = "abstract"
    adapted: ClassVar[str] = "a product of uncertainty and confidence in place of its game"

    def measure(self, found: "Distributions") -> float:
        """Student uncertainty times teacher confidence, from 0 to 1."""
        largest = {key: float(of.amax(-1).exp().mean()) for key, of in found.log_probs.items()}
        return active_product(1 - largest["student"], largest["teacher"])


def active_product(uncertainty: float, confidence: float) -> float:
    """The score of a row.

    Args:
        uncertainty: Of the student, from 0 to 1.
        confidence: Of the teacher, from 0 to 1.
    """
    return uncertainty * confidence
