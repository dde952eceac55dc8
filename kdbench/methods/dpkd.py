"""DPKD: the teacher's response is preferred to the student's, and the teacher is the reference.

Paper: Li et al. 2024 (arXiv 2406.19774); of its public code (LMOps) the loss was read. Its variants
    with a target margin or smoothed labels are not here.
Objective: -log σ(β ((log q(y_p) - log p(y_p)) - (log q(y_q) - log p(y_q)))), the mean over pairs;
    y_p is the teacher's response, y_q the student's, and log-probabilities are summed over each.
    Where student and teacher agree the loss is log 2, and it still has a gradient: q may leave p.
Data: a new response of each model to each prompt in every step.
"""

from typing import ClassVar

from pydantic import Field

from kdbench.methods import Mechanism, Method, methods
from kdbench.training import GeneratedPairs, Term, Triple
from kdbench.training.preference import Preference


@methods.register("dpkd")
class DPKD(Method):
    """The loss of pairs, with the teacher as the better writer and as the reference."""

    title: ClassVar[str] = "DPKD"
    paper: ClassVar[str] = "Li et al. 2024, arXiv 2406.19774"
    cost: ClassVar[str] = "teacher forward, generation by both, two responses a prompt"
    family: ClassVar[str] = "rewards"
    basis: ClassVar[str] = "authors' code, in part"
    mechanism: ClassVar[Mechanism | None] = Mechanism(
        "rkl@student", "down", "distance on the student's own samples"
    )
    beta: float = Field(0.1, gt=0, description="β, factor of the margin")

    def triple(self) -> Triple:
        """The loss of pairs, each counted once."""
        terms = [Term(Preference(self.beta, view="teacher"), per="group")]
        return Triple(terms, GeneratedPairs("teacher", "student"))
