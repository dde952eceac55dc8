"""ABKD: alpha-beta divergence.

Paper: Wang et al. 2025 (arXiv 2505.04560).
Objective: `kdbench.divergence.alpha_beta`. The defaults α = 0.2, β = 0.7 are the paper's for GPT-2.
    Its release script has 0.2, 0.7 for the 0.3B and 0.7B students and 0.1, 0.8 for OpenLLaMA; for
    the 0.1B student it has 0, 1, which is plain reverse KL.
Limits: as in ABKD's code, those at (α, 0), (0, β), α + β = 0 and (0, 0) are what α and β say there:
    (1, 0) is KL(p‖q), (0, 1) is KL(q‖p).
Data: the dataset's responses.
"""

from typing import ClassVar

from pydantic import Field

from kdbench.divergence import alpha_beta
from kdbench.methods import Method, methods
from kdbench.training import Match, Triple


@methods.register("abkd")
class ABKD(Method):
    """Alpha-beta divergence to the teacher on the dataset."""

    title: ClassVar[str] = "ABKD"
    paper: ClassVar[str] = "Wang et al. 2025, arXiv 2505.04560"
    cost: ClassVar[str] = "teacher forward"
    alpha: float = Field(0.2, description="α, power of the teacher's probabilities")
    beta: float = Field(0.7, description="β, power of the student's probabilities")

    def triple(self) -> Triple:
        """The divergence on the dataset."""
        return Triple(Match(alpha_beta, {"alpha": self.alpha, "beta": self.beta}))
