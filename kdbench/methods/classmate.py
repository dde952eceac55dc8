"""Weak-model-guided distillation: toward the teacher, away from a weaker classmate.

Source: the project page of Class Knowledge Distillation (2025), which has no weights and no code.
    Only the idea is from the page; everything else is a choice of kdbench.
Objective: KL(p‖q) on the dataset. On student samples, with the classmate's distribution c:
    form=target: D(p̃, q) with p̃ ∝ p (p/c)^β on the tokens with p >= a max p. D is the skew reverse
        KL, or else reverse KL or JSD, for which the other tokens keep the teacher's probability.
    form=subtract: KL(q‖p) - λ min(KL(q‖c), clamp), the literal form of the page, λ = β/(1+β).
    For reverse KL and a = 0 the two forms have the same gradient up to the factor 1-λ:
    KL(q‖p) - λ KL(q‖c) = (1-λ) KL(q‖p̃) - (1-λ) log Z. So the loss of `subtract` has no floor at 0.
Controls: classmate=teacher leaves the teacher as it is (under skew_reverse_kl, on its plausible
    tokens alone). classmate=uniform sharpens it to temperature 1/(1+β); guidance must beat this,
    because ROUGE-L of samples rewards sharpness.
Data: with probability `student_fraction` a batch of student samples, otherwise the dataset. A
    trained classmate learns KL(p‖c) on the dataset alone, every second step, so it stays behind.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from kdbench.divergence import forward_kl, generalised_jsd, reverse_kl, skew_reverse_kl
from kdbench.methods import Method, methods
from kdbench.training import Chunk, Classmate, FromStudent, Match, Objective, Term, Triple
from kdbench.training.companions import ClassmateKind
from kdbench.training.target import contrast

if TYPE_CHECKING:
    import torch

DivergenceName = Literal["skew_reverse_kl", "reverse_kl", "jsd"]
_DIVERGENCES = {
    "skew_reverse_kl": skew_reverse_kl,
    "reverse_kl": reverse_kl,
    "jsd": generalised_jsd,
}


@dataclass(frozen=True)
class Guided(Objective):
    """What both forms share: views, target, and diagnostics of how the three models differ."""

    views = ("teacher", "classmate")
    floor: ClassVar[float | None] = None  # the target is not the teacher
    strength: float = 0.25
    plausibility: float = 0.1

    def target(self, chunk: Chunk, implausible: Literal["zero", "teacher"]) -> "torch.Tensor":
        """Log-probabilities of the contrasted distribution p̃, (n, V)."""
        log_c = chunk.log_prob("classmate")
        return contrast(chunk.log_p, log_c, self.strength, self.plausibility, implausible)

    def diagnostics(self, chunk: Chunk) -> Mapping[str, "torch.Tensor"]:
        """Divergences, agreement of first choices, and first choices that the classmate changes."""
        log_q, log_p, log_c = chunk.log_q, chunk.log_p, chunk.log_prob("classmate")
        student, teacher, classmate = (log.argmax(-1) for log in (log_q, log_p, log_c))
        target = self.target(chunk, "zero")
        return {
            "classmate/kl_student_classmate": reverse_kl(log_c, log_q),
            "classmate/kl_student_teacher": reverse_kl(log_p, log_q),
            "classmate/kl_student_target": reverse_kl(self.target(chunk, "teacher"), log_q),
            "classmate/agree_student_classmate": (student == classmate).float(),
            "classmate/agree_student_teacher": (student == teacher).float(),
            "classmate/agree_classmate_teacher": (classmate == teacher).float(),
            "classmate/changed_first_choice": (target.argmax(-1) != teacher).float(),
        }


@dataclass(frozen=True)
class ContrastTarget(Guided):
    """A divergence to the contrasted target."""

    divergence: DivergenceName = "skew_reverse_kl"

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """D(p̃, q)."""
        finite_at_zero = self.divergence == "skew_reverse_kl"
        target = self.target(chunk, "zero" if finite_at_zero else "teacher")
        return _DIVERGENCES[self.divergence](target, chunk.log_q)

    def __str__(self) -> str:
        return f"{self.divergence}(contrast {self.strength:g}, plausible {self.plausibility:g})"


@dataclass(frozen=True)
class Subtract(Guided):
    """KL(q‖p) - λ min(KL(q‖c), clamp)."""

    clamp: float = 5.0

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """The loss has a minimum only for λ < 1, which λ = β/(1+β) ensures for every β."""
        away = reverse_kl(chunk.log_prob("classmate"), chunk.log_q).clamp(max=self.clamp)
        weight = self.strength / (1 + self.strength)
        return reverse_kl(chunk.log_p, chunk.log_q) - weight * away

    def __str__(self) -> str:
        return f"subtract(contrast {self.strength:g}, clamp {self.clamp:g})"


@methods.register("classmate")
class WeakGuided(Method):
    """Toward the teacher and away from a weaker classmate, on student responses."""

    title: ClassVar[str] = "Classmate"
    paper: ClassVar[str] = "Class Knowledge Distillation 2025 (project page)"
    cost: ClassVar[str] = "teacher and classmate forward, student generation, classmate training"
    family: ClassVar[str] = "on_policy"
    basis: ClassVar[str] = "project page"
    form: Literal["target", "subtract"] = Field("target", description="how the classmate is used")
    strength: float = Field(0.25, ge=0, description="β, strength of the contrast; λ = β/(1+β)")
    plausibility: float = Field(
        0.1, ge=0, le=1, description="a; only tokens with p >= a max p are contrasted"
    )
    divergence: DivergenceName = Field(
        "skew_reverse_kl", description="divergence to the target of form=target"
    )
    clamp: float = Field(5.0, gt=0, description="largest KL(q‖c) that form=subtract rewards, nats")
    student_fraction: float = Field(
        0.5, ge=0, le=1, description="share of batches that are student samples"
    )
    classmate: ClassmateKind = Field("trained", description="the weaker model")
    classmate_model: Path | None = Field(
        None,
        description="checkpoint from which the classmate starts, which may be smaller "
        "(default: the student's)",
    )
    classmate_every: int = Field(2, ge=1, description="student steps per classmate step")
    classmate_lag: float | None = Field(
        None,
        description="a trained classmate pauses while its validation loss is below the student's "
        "plus this, nats per token",
    )
    classmate_decay: float = Field(0.99, ge=0, lt=1, description="decay of classmate=ema per step")

    def triple(self) -> Triple:
        """Forward KL on the dataset, guidance on student samples."""
        guided: Guided = (
            ContrastTarget(self.strength, self.plausibility, self.divergence)
            if self.form == "target"
            else Subtract(self.strength, self.plausibility, self.clamp)
        )
        terms = [Term(Match(forward_kl), on=("dataset",)), Term(guided, on=("student",))]
        companion = Classmate(
            self.classmate,
            self.classmate_model,
            self.classmate_every,
            self.classmate_lag,
            self.classmate_decay,
        )
        return Triple(terms, FromStudent(self.student_fraction), companions=[companion])
