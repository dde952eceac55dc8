"""OPSD: the student learns from itself with the solution before its eyes, on its own samples.

Paper: Self-Distilled Reasoner, 2026 (arXiv 2601.18734); the authors' code (siyan-zhao/OPSD), notes
    and the abstract were read. The code lost the chat template of the student's prompt, masked end
    tokens where these are the padding, and padded prompts on the right before sampling; none of
    that is here.
Objective: D(p, q), q the student on the question, p the same model on solution and question:
    form=jsd: JSD with the teacher's weight `teacher_weight`, over all tokens or renormalised over
      the `top_k` likeliest of p, of logits divided by `temperature` (not scaled by its square).
      `clip` bounds the loss of each token, or each vocabulary entry of its sum; the notes do not
      say which of the two the paper does (`clip_per`).
    form=sampled: -A log q(y), A = log p(y) - log q(y), detached, as in `opd`; it needs plain
      samples.
    The teacher is the student before training (`decay=1`; with lora_rank= without its adapter, so
    there is no second copy) or an average of the student (the authors also use 0.999).
Data: new student samples. The authors sample at temperature 1.1, and divide the logits by the same:
    sampling_temperature=1.1 temperature=1.1. The solution is the first reference, or the field
    `context_field`. Without a solution both views are equal, and the loss is 0 at the first step.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from kdbench.methods import Mechanism, Method, methods
from kdbench.training import Chunk, FromStudent, Objective, Prefixed, Triple
from kdbench.training.informed import VIEW, Informed, InformedJSD, averaged
from kdbench.training.prompts import first_reference

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class SampledInformed(Informed):
    """-A log q(y), A = log p(y) - log q(y), detached."""

    weighs_rollouts = True

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """A loss whose gradient is that of KL(q‖p) in expectation; its value has no meaning."""
        log_q = chunk.of_target(chunk.log_q)
        return -(chunk.of_target(chunk.log_prob(VIEW)) - log_q).detach() * log_q

    def __str__(self) -> str:
        return "sampled_reverse_kl(view=informed)"


@methods.register("opsd")
class OPSD(Method):
    """JSD to the student that sees the solution, on student samples; needs no teacher."""

    title: ClassVar[str] = "OPSD"
    paper: ClassVar[str] = "Self-Distilled Reasoner 2026, arXiv 2601.18734"
    cost: ClassVar[str] = "student forward on a longer prompt, student generation"
    family: ClassVar[str] = "self"
    basis: ClassVar[str] = "authors' code and third-party notes"
    data: ClassVar[str] = "prompts and responses, or a field with the solution"
    mechanism: ClassVar[Mechanism | None] = Mechanism(
        "dolly:exact_match", "up", "kinds that are not trained are forgotten less than by SFT"
    )
    needs_teacher: ClassVar[bool] = False
    form: Literal["jsd", "sampled"] = Field("jsd", description="divergence, or its policy gradient")
    teacher_weight: float = Field(0.5, gt=0, lt=1, description="w, teacher's share in the JSD")
    temperature: float = Field(1.0, gt=0, description="divides both logits in the JSD")
    top_k: int | None = Field(
        None, ge=2, description="number of the teacher's tokens that are compared, renormalised"
    )
    clip: float | None = Field(None, gt=0, description="largest divergence, nats")
    clip_per: Literal["token", "entry"] = Field("token", description="what `clip` bounds")
    decay: float = Field(
        1.0, ge=0, le=1, description="of the averaged teacher per step; 1 is the student at start"
    )
    context_field: str | None = Field(
        None, description="field with the solution (default: the first reference)"
    )
    context_template: str = Field(
        "{}\n\n", description="how the solution is written before the question; {} is its place"
    )
    context_tokens: int = Field(1024, ge=1, description="tokens of the solution at most")

    @property
    def fields(self) -> tuple[str, ...]:  # type: ignore[override]
        """The field with the solution."""
        return () if self.context_field is None else (self.context_field,)

    @property
    def plain_sampling(self) -> bool:  # type: ignore[override]
        """Whether it is a policy gradient, which is that of the distribution sampled from."""
        return self.form == "sampled"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if "{}" not in self.context_template:
            raise ValueError("context_template= has no {} for the solution")
        if self.form == "sampled" and (
            self.temperature != 1 or self.top_k is not None or self.clip is not None
        ):
            raise ValueError("form=sampled has no temperature=, top_k= or clip=: leave them out")
        return self

    def triple(self) -> Triple:
        """The divergence to the informed view on student samples."""
        objective: Objective = SampledInformed()
        if self.form == "jsd":
            objective = InformedJSD(
                self.teacher_weight,
                self.temperature,
                self.top_k,
                clip=self.clip,
                clip_per=self.clip_per,
            )
        context = Prefixed(
            self.context_field or first_reference, self.context_tokens, self.context_template
        )
        return Triple(
            objective,
            FromStudent(),
            companions=[averaged(self.decay)],
            prompts={VIEW: context},
        )
