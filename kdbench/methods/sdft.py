"""SDFT: the student learns from itself with a demonstration before its eyes, on its own samples.

Paper: Self-Distillation Enables Continual Learning, 2026 (arXiv 2601.19897); the code of trl's SDFT
    trainer was read, whose defaults these are.
Objective: ρ JSD(p', q') with the teacher's weight `teacher_weight`; q is the student on the
    question and p the same model on demonstration and question. p' and q' are both on the student's
    `top_k` likeliest tokens: renormalised, or with `tail` with all other tokens as one more, which
    never exceeds the JSD over all tokens. ρ = q(y)/q_sampled(y), detached, at most `ratio_limit`;
    in the first step of a set of samples it is 1, but for dropout.
    The teacher (trl: base, live or EMA with the rate 0.05) is an average of which `decay` remains
    at each step: 1 is the student before training, 0 that of the step itself.
Data: new student samples, each set learned in `passes` steps. trl samples eight responses to each
    prompt; here a step has one to each of `batch_size` prompts. The demonstration is the first
    reference, or the field `context_field`.
"""

from typing import ClassVar, Self

from pydantic import Field, model_validator

from kdbench.methods import Mechanism, Method, methods
from kdbench.training import Prefixed, Triple
from kdbench.training.informed import VIEW, InformedJSD, averaged
from kdbench.training.prompts import first_reference
from kdbench.training.sources.repeated import Repeated


@methods.register("sdft")
class SDFT(Method):
    """JSD on the student's likeliest tokens to itself with a demonstration; needs no teacher."""

    title: ClassVar[str] = "SDFT"
    paper: ClassVar[str] = "Self-Distillation Enables Continual Learning 2026, arXiv 2601.19897"
    cost: ClassVar[str] = "student forward on a longer prompt, student generation"
    family: ClassVar[str] = "self"
    basis: ClassVar[str] = "third-party code (trl)"
    data: ClassVar[str] = "prompts and responses, or a field with the demonstration"
    mechanism: ClassVar[Mechanism | None] = Mechanism(
        "dolly:exact_match", "up", "kinds that are not trained are forgotten less than by SFT"
    )
    needs_teacher: ClassVar[bool] = False
    teacher_weight: float = Field(0.5, gt=0, lt=1, description="w, teacher's share in the JSD")
    top_k: int = Field(100, ge=2, description="number of the student's tokens that are compared")
    tail: bool = Field(False, description="whether all other tokens count as one more")
    ratio_limit: float = Field(2.0, gt=0, description="largest importance ratio of a token")
    passes: int = Field(1, ge=1, description="steps in which a set of samples is learned")
    decay: float = Field(
        0.95, ge=0, le=1, description="of the averaged teacher per step; 1 is the student at start"
    )
    context_field: str | None = Field(
        None, description="field with the demonstration (default: the first reference)"
    )
    context_template: str = Field(
        "{}\n\n", description="how it is written before the question; {} is its place"
    )
    context_tokens: int = Field(1024, ge=1, description="tokens of the demonstration at most")

    @property
    def fields(self) -> tuple[str, ...]:  # type: ignore[override]
        """The field with the demonstration."""
        return () if self.context_field is None else (self.context_field,)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if "{}" not in self.context_template:
            raise ValueError("context_template= has no {} for the demonstration")
        return self

    def triple(self) -> Triple:
        """The weighted JSD on student samples."""
        objective = InformedJSD(
            self.teacher_weight,
            top_k=self.top_k,
            top_of="student",
            tail=self.tail,
            ratio_limit=self.ratio_limit,
        )
        shown = Prefixed(
            self.context_field or first_reference, self.context_tokens, self.context_template
        )
        return Triple(
            objective,
            Repeated(passes=self.passes),
            companions=[averaged(self.decay)],
            prompts={VIEW: shown},
        )
