"""ABKD: alpha-beta divergence.

Paper: Wang et al. 2025 (arXiv 2505.04560).
Objective: `kdbench.divergence.alpha_beta`. The defaults α = 0.2, β = 0.7 are the paper's for GPT-2.
    Its release script has 0.2, 0.7 for the 0.3B and 0.7B students and 0.1, 0.8 for OpenLLaMA; for
    the 0.1B student it has 0, 1, which is plain reverse KL.
Limits: as in ABKD's code, those at (α, 0), (0, β), α + β = 0 and (0, 0) are what α and β say there:
    (1, 0) is KL(p‖q), (0, 1) is KL(q‖p). Close to them the general formula divides two tiny
    numbers, so there the limit itself must be asked for.
Data: the dataset's responses.
"""

from typing import ClassVar

from pydantic import Field, model_validator

from kdbench.divergence import alpha_beta
from kdbench.methods import Method, methods
from kdbench.training import Match, Triple

_NEAR_ZERO, _LARGEST = 0.01, 10.0


@methods.register("abkd")
class ABKD(Method):
    """Alpha-beta divergence to the teacher on the dataset."""

    title: ClassVar[str] = "ABKD"
    paper: ClassVar[str] = "Wang et al. 2025, arXiv 2505.04560"
    cost: ClassVar[str] = "teacher forward"
    family: ClassVar[str] = "logits"
    basis: ClassVar[str] = "paper and authors' code"
    alpha: float = Field(
        0.2, ge=-_LARGEST, le=_LARGEST, description="α, power of the teacher's probabilities"
    )
    beta: float = Field(
        0.7, ge=-_LARGEST, le=_LARGEST, description="β, power of the student's probabilities"
    )

    @model_validator(mode="after")
    def _is_exact(self) -> "ABKD":
        powers = {"alpha": self.alpha, "beta": self.beta, "the sum": self.alpha + self.beta}
        for name, value in powers.items():
            if 0 < abs(value) < _NEAR_ZERO:
                raise ValueError(
                    f"{name} of {value:g} is too near to 0 for float32: make it 0, which is the "
                    f"limit, or at least {_NEAR_ZERO:g} in size"
                )
        return self

    def triple(self) -> Triple:
        """The divergence on the dataset."""
        return Triple(Match(alpha_beta, {"alpha": self.alpha, "beta": self.beta}))
