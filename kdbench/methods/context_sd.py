"""Context self-distillation: the student learns what it would say if it saw worked examples.

Source: slides of a lecture (the teacher is the same model with few-shot examples C, reverse KL, the
    teacher is set to the student now and then); of public code, trl's SDFT trainer is the nearest,
    and was read. Number of examples, K and the stopping rule are choices of kdbench.
Objective: KL(q‖p), q the student on the question, p an earlier student on examples and question.
    refresh=hard: p becomes the student after every `refresh_every`-th step (K).
    refresh=ema: p is an average of which `decay` remains at each step.
    refresh=never: p is the student before training.
    Each refreshing adds the context's effect once more: where the context adds 1 to a logit, so
    does every refreshing, and the student sharpens without bound. So it ends for good once the
    validation loss is more than `stop_rise` above its lowest, and the log has the entropy of p
    (`informed/entropy`) and the share of steps that still refresh (`refreshing`).
Data: new student samples. The examples are other training rows with their first reference, drawn
    for each row by its id alone: always the same, and never the row itself.
"""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from kdbench.divergence import reverse_kl
from kdbench.methods import Mechanism, Method, methods
from kdbench.training import FewShot, FromStudent, Frozen, Triple
from kdbench.training.companion import Companion
from kdbench.training.companions.refreshed import Refreshed
from kdbench.training.informed import VIEW, MatchInformed


@methods.register("context_sd")
class ContextSD(Method):
    """Reverse KL to an earlier student that sees worked examples; needs no teacher."""

    title: ClassVar[str] = "Context SD"
    paper: ClassVar[str] = "slides on few-shot self-distillation"
    cost: ClassVar[str] = "student forward on a longer prompt, student generation"
    family: ClassVar[str] = "self"
    basis: ClassVar[str] = "slides and third-party code"
    mechanism: ClassVar[Mechanism | None] = Mechanism(
        "log:informed/student_entropy", "down", "each refreshing sharpens, without one it stops"
    )
    needs_teacher: ClassVar[bool] = False
    shots: int = Field(4, ge=1, description="number of examples before the question")
    refresh: Literal["hard", "ema", "never"] = Field(
        "hard", description="how the teacher follows the student"
    )
    refresh_every: int = Field(100, ge=1, description="K, steps between refreshings of hard")
    decay: float = Field(0.99, ge=0, lt=1, description="decay of refresh=ema per step")
    stop_rise: float | None = Field(
        0.0,
        ge=0,
        description="rise of the validation loss over its lowest, nats per token, that ends the "
        "refreshing; null never does",
    )
    context_template: str = Field(
        "{question}\n{response}\n\n",
        description="how an example is written, with {question} and {response}",
    )
    context_tokens: int = Field(
        1024, ge=1, description="tokens of the examples at most; those that do not fit are left out"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if missing := [
            one for one in ("{question}", "{response}") if one not in self.context_template
        ]:
            raise ValueError(f"context_template= has no {missing[0]}")
        return self

    def triple(self) -> Triple:
        """Reverse KL to the informed view on student samples."""
        teacher: Companion = Frozen(VIEW)
        if self.refresh == "hard":
            teacher = Refreshed(VIEW, 0.0, self.refresh_every, rise=self.stop_rise)
        if self.refresh == "ema":
            teacher = Refreshed(VIEW, self.decay, rise=self.stop_rise)
        shots = FewShot(self.shots, self.context_tokens, self.context_template)
        return Triple(
            MatchInformed(reverse_kl), FromStudent(), companions=[teacher], prompts={VIEW: shots}
        )
