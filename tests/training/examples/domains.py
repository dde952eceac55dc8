"""A mix of domains that follows where the student is behind its teacher.

Paper: DDK, Liu et al. 2024 (arXiv 2407.16154).
Objective: CE + `weight` KL(p‖q).
Data: the data set's responses, drawn by domain with the weights of the last validation.
"""

from typing import ClassVar

from pydantic import Field

import kdbench
from kdbench.methods import Method
from kdbench.training import CrossEntropy, DomainWeights, FromDomains, Match, Term, Triple


@kdbench.register("domains")
class Domains(Method):
    """Cross-entropy and forward KL on a mix of domains."""

    title: ClassVar[str] = "Domains"
    paper: ClassVar[str] = "Liu et al. 2024, arXiv 2407.16154"
    cost: ClassVar[str] = "teacher forward, validation of the teacher"
    field: str = Field("category", description="column of the domain in training and validation")
    weight: float = Field(0.2, ge=0, description="weight of the divergence")

    def triple(self) -> Triple:
        """Both terms on examples drawn by domain."""
        terms = [Term(CrossEntropy()), Term(Match(), self.weight)]
        return Triple(terms, FromDomains(self.field), DomainWeights(self.field))
