"""OFA: the teacher's probabilities, with the response's token enhanced.

Paper: One-for-All distillation (arXiv 2310.19444) and its public code, for classes of images.
    Adapted here to tokens, without the exits at inner layers.
Objective: -log q(y) - sum over v of [(p_v + 1[v=y])^ε - 1[v=y]] log q_v, ε = `power`. At ε = 1 the
    second part is the cross-entropy to the teacher; above, tokens where the teacher is right count
    more. It is lowest at the normalised coefficients, not at p.
Data: the dataset's responses, whose tokens are part of the definition.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from kdbench.methods import Mechanism, Method, methods
from kdbench.training import Chunk, CrossEntropy, Objective, Term, Triple

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Enhanced(Objective):
    """Cross-entropy to the teacher with the response's token enhanced."""

    floor: ClassVar[float | None] = None
    power: float = 1.5

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """Minus the sum of the coefficients times log q."""
        p = chunk.log_p.exp()
        target = chunk.of_target(p)[:, None]
        enhanced = (1 + target) ** self.power - 1
        coefficients = (p**self.power).scatter(-1, chunk.targets[:, None], enhanced)
        return -(coefficients * chunk.log_q).sum(-1)

    def __str__(self) -> str:
        return f"enhanced_cross_entropy(power={self.power:g})"


@methods.register("ofa")
class OFA(Method):
    """Cross-entropy to the teacher with the response's token enhanced, and cross-entropy."""

    title: ClassVar[str] = "OFA (adapted)"
    paper: ClassVar[str] = "arXiv 2310.19444"
    cost: ClassVar[str] = "teacher forward"
    family: ClassVar[str] = "logits"
    basis: ClassVar[str] = "authors' code"
    adapted: ClassVar[str] = (
        "classes of images become tokens, and there are no exits at inner layers"
    )
    mechanism: ClassVar[Mechanism | None] = Mechanism(
        "top1_teacher_wrong@ref", "down", "the gold token where the teacher is wrong"
    )
    power: float = Field(1.5, gt=0, description="ε, power of the teacher's probabilities")
    enhanced_weight: float = Field(1.0, ge=0, description="weight of the part with the teacher")

    def triple(self) -> Triple:
        """Both parts on the dataset."""
        terms = [Term(CrossEntropy()), Term(Enhanced(self.power), self.enhanced_weight)]
        return Triple([term for term in terms if term.weight])
