"""ABKD: alpha-beta divergence.

Paper: Wang et al. 2025 (arXiv 2505.04560).
Objective: see `kdbench.divergence.alpha_beta`; α = 0.2, β = 0.7 is the paper's setting for GPT-2
    (its release script runs 0, 1, which is plain reverse KL).
Data: the dataset's responses.
"""

from typing import ClassVar

from pydantic import Field, model_validator

from kdbench.divergence import alpha_beta
from kdbench.methods import Method, methods
from kdbench.training import Match, Triple


@methods.register("abkd")
class ABKD(Method):
    """Alpha-beta divergence to the teacher on the dataset."""

    title: ClassVar[str] = "ABKD"
    paper: ClassVar[str] = "Wang et al. 2025, arXiv 2505.04560"
    cost: ClassVar[str] = "teacher forward"
    alpha: float = Field(0.2, description="power of the teacher's probabilities")
    beta: float = Field(0.7, description="power of the student's probabilities")

    @model_validator(mode="after")
    def _has_a_value(self) -> "ABKD":
        limits = {(1.0, 0.0), (0.0, 1.0)}
        if (self.alpha, self.beta) in limits:
            return self
        if 0 in (self.alpha, self.beta, self.alpha + self.beta):
            raise ValueError("alpha=, beta= and their sum must not be 0, but for 1,0 and 0,1")
        return self

    def triple(self) -> Triple:
        """The divergence alone."""
        return Triple(Match(alpha_beta, {"alpha": self.alpha, "beta": self.beta}))
