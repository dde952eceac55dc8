"""DCKD: the distributions of an aligned teacher on both responses of a pair.

Paper: arXiv 2502.17927; of its public code the trainer was read, of the paper notes alone.
Objective: KL(p‖q) on the chosen response + KL(p‖q) on the rejected one - `ce_weight` log q(y) on
    the chosen one. The rejected text teaches too, as the teacher's distribution there says what
    should be written instead.
Data: rows with `chosen` and `rejected`; the teacher is aligned with these preferences, for example
    by `method=dpo`. Each term is averaged over its tokens.
"""

from typing import ClassVar

from pydantic import Field

from kdbench.divergence import forward_kl
from kdbench.methods import Mechanism, Method, methods
from kdbench.training import CrossEntropy, FromPairs, Match, Term, Triple


@methods.register("dckd")
class DCKD(Method):
    """Forward KL on both responses of a pair, and cross-entropy on the better one."""

    title: ClassVar[str] = "DCKD"
    paper: ClassVar[str] = "arXiv 2502.17927"
    cost: ClassVar[str] = "teacher forward, two responses a row"
    family: ClassVar[str] = "rewards"
    basis: ClassVar[str] = "authors' code and third-party notes"
    data: ClassVar[str] = "prompts with chosen and rejected; an aligned teacher"
    mechanism: ClassVar[Mechanism | None] = Mechanism(
        "short:response_length",
        "down",
        "responses in the short form that the aligned teacher prefers",
    )
    ce_weight: float = Field(0.2, ge=0, description="α, weight of the cross-entropy on chosen")

    def triple(self) -> Triple:
        """Both divergences and the cross-entropy on pairs."""
        terms = [
            Term(Match(forward_kl), on=("chosen",)),
            Term(Match(forward_kl), on=("rejected",)),
            Term(CrossEntropy(), self.ce_weight, on=("chosen",)),
        ]
        return Triple([term for term in terms if term.weight], FromPairs())
