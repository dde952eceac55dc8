"""GRPO: samples of a group are rewarded by a verifier and compared with each other.

Paper: Shao et al. 2024 (arXiv 2402.03300).
Objective: that of `trrd` with α = 1, -min(ρ A, clip(ρ, 1-`clip`, 1+`clip`) A) + `kl_weight`
    KL(q‖q_ref), ρ = q(y)/q_old(y), averaged over the tokens of a response and then over responses.
    The paper estimates KL(q‖q_ref) from the sampled token; here it is over the whole vocabulary.
Data: `samples` responses of the student to each prompt, each learned in `passes` steps.
It distils nothing; it is the row that `trrd` is compared with.
"""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from kdbench.methods import Mechanism, Method, methods
from kdbench.methods.trrd import TRRD
from kdbench.training import Triple
from kdbench.training.verifiers import known_verifier


@methods.register("grpo")
class GRPO(Method):
    """Group-relative policy optimisation, without a teacher."""

    title: ClassVar[str] = "GRPO"
    paper: ClassVar[str] = "Shao et al. 2024, arXiv 2402.03300"
    cost: ClassVar[str] = "reference forward, generation of `samples` responses"
    family: ClassVar[str] = "rewards"
    basis: ClassVar[str] = "paper"
    data: ClassVar[str] = "prompts with references that a verifier compares with"
    mechanism: ClassVar[Mechanism | None] = Mechanism(
        "rewarded:exact_match", "up", "right answers where they are rewarded"
    )
    needs_teacher: ClassVar[bool] = False
    plain_sampling: ClassVar[bool] = True
    required: ClassVar[tuple[str, ...]] = ("verifier",)
    verifier: Annotated[str, AfterValidator(known_verifier)] | None = Field(
        None, description="what rewards a response: exact_match, number, or rougeL>=0.7"
    )
    samples: int = Field(8, ge=2, description="G, responses to each prompt")
    passes: int = Field(1, ge=1, description="steps in which a response is learned")
    clip: float = Field(0.2, gt=0, lt=1, description="ε, clip of the ratio")
    deviation: Literal["population", "sample"] = Field(
        "population", description="standard deviation that divides the advantages"
    )
    kl_weight: float = Field(0.04, ge=0, description="β, weight of KL(q‖q_ref)")
    reference_model: Path | None = Field(
        None, description="checkpoint of q_ref (default: the student before training)"
    )

    def triple(self) -> Triple:
        """The loss of TRRD in which the teacher has no share."""
        return TRRD(old_share=1, **self.model_dump()).triple()
