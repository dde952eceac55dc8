"""TRRD (RLAD): rewards of a verifier, with a trust region around student and teacher together.

Paper: RLAD, arXiv 2602.22495; the abstract and third-party notes were read. Public
    implementations add |KL| terms that the notes do not have.
Objective: -min(ρ A, clip(ρ, 1-`clip`, 1+`clip`) A) + `kl_weight` KL(q‖q_ref), averaged over the
    tokens of a response and then over responses. ρ = q(y)/(q_old(y)^α p(y)^(1-α)), α = `old_share`;
    A is the group's advantage, (r - mean)/deviation, 0 if all rewards are equal. α = 1 is GRPO.
    ρ is not 1 at q = q_old: a right token keeps its gradient until q has passed 1+`clip` times the
    mixture, and a wrong one that the teacher likes more than the student does is not pushed down
    where ρ < 1-`clip`. So the teacher is imitated where the verifier agrees. In the first pass over
    a sample, where q = q_old, a right token has a gradient until q = (1+`clip`)^(1/(1-α)) p and a
    wrong one until (1-`clip`)^(1/(1-α)) p, 1.44 p and 0.64 p by default: a teacher that is wrong
    holds the student back.
    A wrong token that the teacher rules out has a very large ρ, which nothing clips (as in PPO);
    beyond e^20 it has no gradient. The notes give no `kl_weight`; 0.04 is that of GRPO. α = 0.5 is
    from memory, and was not checked.
Data: `samples` responses of the student to each prompt, each learned in `passes` steps.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from kdbench.divergence import reverse_kl
from kdbench.methods import Mechanism, Method, methods
from kdbench.training import Chunk, FromGroups, Frozen, Match, Objective, Term, Triple, verifier
from kdbench.training.verifiers import known_verifier, no_verifier
from kdbench.training.weight import clipped_ratio_loss

if TYPE_CHECKING:
    import torch

_LARGEST_EXPONENT = 20.0  # its power may be multiplied and added up in float32


@dataclass(frozen=True)
class RatioToMixture(Objective):
    """PPO's clipped loss, with q_old^α p^(1-α) in place of q_old."""

    weighs_rollouts = True
    floor: ClassVar[float | None] = None
    clip: float = 0.2
    old_share: float = 0.5

    @property
    def views(self) -> tuple[str, ...]:  # type: ignore[override]
        """The teacher, if it has a share."""
        return ("teacher",) if self.old_share < 1 else ()

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """-min(ρ A, clip(ρ) A)."""
        return clipped_ratio_loss(self._ratio(chunk), chunk.plan["advantage"], self.clip)

    def _ratio(self, chunk: Chunk) -> "torch.Tensor":
        mixture = self.old_share * chunk.plan["log_sampled"]
        if self.old_share < 1:
            mixture = mixture + (1 - self.old_share) * chunk.of_target(chunk.log_p)
        return (chunk.of_target(chunk.log_q) - mixture).clamp(max=_LARGEST_EXPONENT).exp()

    def diagnostics(self, chunk: Chunk) -> Mapping[str, "torch.Tensor"]:
        """The share of tokens without a gradient, as they are beyond the clip."""
        ratio, advantage = self._ratio(chunk), chunk.plan["advantage"]
        beyond = ((advantage > 0) & (ratio > 1 + self.clip)) | (
            (advantage < 0) & (ratio < 1 - self.clip)
        )
        return {"policy/clipped": beyond.float()}

    def __str__(self) -> str:
        return f"clipped_ratio(clip={self.clip:g}, old_share={self.old_share:g})"


@methods.register("trrd")
class TRRD(Method):
    """Group-relative rewards with a trust region around student and teacher."""

    title: ClassVar[str] = "TRRD"
    paper: ClassVar[str] = "RLAD, arXiv 2602.22495"
    cost: ClassVar[str] = "teacher and reference forward, generation of `samples` responses"
    family: ClassVar[str] = "rewards"
    basis: ClassVar[str] = "abstract and third-party notes"
    data: ClassVar[str] = "prompts with references that a verifier compares with"
    mechanism: ClassVar[Mechanism | None] = Mechanism(
        "log:reward", "up", "right answers early, as the teacher shows which way to go"
    )
    plain_sampling: ClassVar[bool] = True
    required: ClassVar[tuple[str, ...]] = ("verifier",)
    verifier: Annotated[str, AfterValidator(known_verifier)] | None = Field(
        None, description="what rewards a response: exact_match, number, or rougeL>=0.7"
    )
    samples: int = Field(8, ge=2, description="G, responses to each prompt")
    passes: int = Field(1, ge=1, description="steps in which a response is learned")
    old_share: float = Field(
        0.5, ge=0, le=1, description="α, share of the student at sampling; the teacher has 1-α"
    )
    clip: float = Field(0.2, gt=0, lt=1, description="ε, clip of the ratio")
    deviation: Literal["population", "sample"] = Field(
        "population", description="standard deviation that divides the advantages"
    )
    kl_weight: float = Field(0.04, ge=0, description="β, weight of KL(q‖q_ref)")
    reference_model: Path | None = Field(
        None, description="checkpoint of q_ref (default: the student before training)"
    )

    def triple(self) -> Triple:
        """The clipped loss and the divergence on groups of student samples."""
        terms = [Term(RatioToMixture(self.clip, self.old_share), per="sequence")]
        companions = []
        if self.kl_weight:
            away = Match(reverse_kl, view="reference")
            terms.append(Term(away, self.kl_weight, per="sequence"))
            companions.append(Frozen("reference", self.reference_model))
        rewarded = no_verifier if self.verifier is None else verifier(self.verifier)
        source = FromGroups(rewarded, self.samples, passes=self.passes, deviation=self.deviation)
        return Triple(terms, source, companions=companions)
