"""SDPO: a right sample of the group is shown to the student itself, which corrects the wrong ones.

Paper: Reinforcement Learning via Self-Distillation, 2026 (arXiv 2601.20802); the code of trl's SDPO
    trainer was read. Its teacher also reads the environment's feedback; here a verifier gives none.
Objective: w D(p', q') on the failed responses of groups with a success + (1-w) × the policy
    gradient -A log q(y) on all, A the group's advantage. q is the student on the question, p an
    average of it on a right response and the question. D is the JSD on the student's `top_k`
    likeliest tokens and all others as one more (a choice of kdbench; trl can also renormalise).
    With w = 1 (the default) all other responses are left out, and a step may be empty.
Data: `samples` responses of the student to each prompt, with rewards of `verifier`; reward above 0
    is a success. The context is the first right response of the group. A group that has none is no
    use to the distillation, nor is one without a failure.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Self

from pydantic import AfterValidator, Field, model_validator

from kdbench.methods import Mechanism, Method, methods
from kdbench.training import Chunk, Objective, Term, Triple, verifier
from kdbench.training.informed import VIEW, InformedJSD, averaged
from kdbench.training.rescue import RescuePrompt, solution_of
from kdbench.training.sources.rescues import RESCUED, FromRescues
from kdbench.training.verifiers import known_verifier

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class AdvantageGradient(Objective):
    """-A log q(y), the policy gradient of samples that are learned once."""

    views = ()
    weighs_rollouts = True
    floor: ClassVar[float | None] = None

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """A loss whose gradient is that of the expected reward; its value has no meaning."""
        return -chunk.plan["advantage"] * chunk.of_target(chunk.log_q)

    def __str__(self) -> str:
        return "policy_gradient"


@methods.register("sdpo")
class SDPO(Method):
    """Toward the student that sees a right sample, on the wrong ones; needs no teacher."""

    title: ClassVar[str] = "SDPO"
    paper: ClassVar[str] = "Reinforcement Learning via Self-Distillation 2026, arXiv 2601.20802"
    cost: ClassVar[str] = "student generation of each group, student forward on longer prompts"
    family: ClassVar[str] = "rewards"
    basis: ClassVar[str] = "third-party code (trl)"
    data: ClassVar[str] = "prompts and references that a verifier compares with"
    mechanism: ClassVar[Mechanism | None] = Mechanism(
        "log:reward", "up", "a right sample says more about a wrong one than its reward"
    )
    needs_teacher: ClassVar[bool] = False
    verifier: Annotated[str, AfterValidator(known_verifier)] = Field(
        "exact_match", description="exact_match, number or rougeL>=0.7"
    )
    samples: int = Field(8, ge=2, description="responses to each prompt")
    distillation_weight: float = Field(
        1.0, ge=0, le=1, description="w, weight of the distillation; the policy gradient has 1-w"
    )
    teacher_weight: float = Field(0.5, gt=0, lt=1, description="teacher's share in the JSD")
    top_k: int = Field(100, ge=2, description="number of the student's tokens that are compared")
    decay: float = Field(
        0.95, ge=0, le=1, description="of the averaged teacher per step; 1 is the student at start"
    )
    context_template: str = Field(
        "{}\n\n", description="how a right response is written before the question; {} is its place"
    )
    context_tokens: int = Field(1024, ge=1, description="tokens of the right response at most")

    @property
    def plain_sampling(self) -> bool:  # type: ignore[override]
        """Whether there is a policy gradient, which is that of the distribution sampled from."""
        return self.distillation_weight < 1

    @model_validator(mode="after")
    def _check(self) -> Self:
        if "{}" not in self.context_template:
            raise ValueError("context_template= has no {} for the right response")
        return self

    def triple(self) -> Triple:
        """Distillation on rescued responses, and the policy gradient on all."""
        weight = self.distillation_weight
        source = FromRescues(verifier(self.verifier), self.samples, rescued_only=weight == 1)
        gradient = Term(AdvantageGradient(), 1 - weight)
        if not weight:
            return Triple([gradient], source)
        jsd = InformedJSD(self.teacher_weight, top_k=self.top_k, top_of="student", tail=True)
        terms = [Term(jsd, weight, on=(RESCUED,)), gradient]
        return Triple(
            [term for term in terms if term.weight],
            source,
            companions=[averaged(self.decay)],
            prompts={VIEW: RescuePrompt(solution_of, self.context_tokens, self.context_template)},
        )
