"""ULD: the sorted probabilities of both models, whatever their tokens are called.

Paper: Boizard et al. 2024 (arXiv 2402.12030). Read: the form of it in DSKD's public code.
Objective: (1-r) CE + r Σ|p - q| over probabilities in descending order, the shorter side with zeros
    at its end. Token t of the student's response is compared with token t of the teacher's, in the
    teacher's tokens, as far as both go. With `matching=text`, groups are compared whose texts end
    at the same byte, as TRL does it: the distribution of a group's first token times the
    probability of its others.
Conventions: the distance is averaged over the compared places of a response, which counts by its
    length; DSKD's code divides by all tokens, so that a longer response than the teacher's counts
    less. The distance is blind to a permutation of the vocabulary: it is 0 for a student that
    predicts other tokens with the teacher's probabilities.
Data: the dataset's responses; the teacher may have another tokenizer.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from kdbench.methods import Mechanism, Method, methods
from kdbench.training import CrossEntropy, Term, Triple
from kdbench.training.grouped import GroupObjective, Sides
from kdbench.training.unmatched import sorted_distance

if TYPE_CHECKING:
    import torch


@dataclass(eq=False)
class SortedDistance(GroupObjective):
    """L1 of sorted probabilities."""

    def group(self, sides: Sides) -> "torch.Tensor":
        """Σ|p - q| of each group."""
        return sorted_distance(
            sides.log_p + sides.log_p_others[:, None], sides.log_q + sides.log_q_others[:, None]
        )

    def __str__(self) -> str:
        return "sorted_distance" if self.way == "index" else f"sorted_distance(way={self.way})"


@methods.register("uld")
class ULD(Method):
    """L1 of sorted probabilities, mixed with cross-entropy; any tokenizer."""

    title: ClassVar[str] = "ULD"
    paper: ClassVar[str] = "Boizard et al. 2024, arXiv 2402.12030"
    cost: ClassVar[str] = "teacher forward"
    family: ClassVar[str] = "tokenizers"
    basis: ClassVar[str] = "third-party code"
    mechanism: ClassVar[Mechanism | None] = Mechanism(
        "entropy_ratio@ref", "down", "the shape of the teacher's distribution, sharper than its own"
    )
    kd_ratio: float = Field(0.5, ge=0, le=1, description="r, weight of the distance; CE has 1-r")
    matching: Literal["index", "text"] = Field(
        "index", description="places that are compared: of equal number, or of equal text"
    )

    def triple(self) -> Triple:
        """Both terms on the dataset."""
        distance = SortedDistance("index" if self.matching == "index" else "first")
        terms = [Term(CrossEntropy(), 1 - self.kd_ratio), Term(distance, self.kd_ratio)]
        return Triple([term for term in terms if term.weight])
