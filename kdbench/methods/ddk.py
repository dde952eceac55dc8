"""DDK: domains in which the student is farther behind its teacher are drawn more.

Paper: DDK, Liu et al. 2024 (arXiv 2407.16154); its formulas were read, no code.
Objective: -log q(y) + `kd_weight` KL(p‖q).
Schedule: with the perplexities of both models on the validation rows of each of N domains, examples
    are drawn from domain i with probability r_i ∝ exp(ppl_S,i / ppl_T,i) at first; at each later
    validation ψ_i = r_i exp(ppl_S,i / ppl_T,i) and r = s ψ / Σψ + (1-s) / N, s = `share`. The
    largest exponent is subtracted first, as an untrained student's would overflow. The paper has
    1,000 steps between validations of 500 examples per domain: `validate_every=`.
Data: the dataset's responses. Every row has its domain in a column, and each has validation rows.
"""

from typing import ClassVar

from pydantic import Field

from kdbench.methods import Mechanism, Method, methods
from kdbench.training import CrossEntropy, DomainWeights, FromDomains, Match, Term, Triple


@methods.register("ddk")
class DDK(Method):
    """Cross-entropy and forward KL on a mix of domains that follows the student's gaps."""

    title: ClassVar[str] = "DDK"
    paper: ClassVar[str] = "Liu et al. 2024, arXiv 2407.16154"
    cost: ClassVar[str] = "teacher forward, validation of the teacher"
    family: ClassVar[str] = "data"
    basis: ClassVar[str] = "formulas of the paper"
    data: ClassVar[str] = "prompts and responses, a column with the domain"
    mechanism: ClassVar[Mechanism | None] = Mechanism(
        "log:schedule/worst_domain", "down", "nats behind the teacher in the worst domain"
    )
    domain: str = Field("domain", description="column of the domain, in training and validation")
    kd_weight: float = Field(0.2, ge=0, description="weight of the divergence; CE has 1")
    share: float = Field(
        0.5, ge=0, lt=1, description="s, share of the mix that follows the gaps; 0 draws evenly"
    )

    def triple(self) -> Triple:
        """Both terms on examples drawn by domain."""
        terms = [Term(CrossEntropy()), Term(Match(), self.kd_weight)]
        return Triple(
            [term for term in terms if term.weight],
            FromDomains(self.domain),
            DomainWeights(self.domain, self.share),
        )
