"""Weak-model-guided distillation: toward the teacher, away from a weaker classmate.

Source: the project page of Class Knowledge Distillation (2025), which gives no weights and no code;
    everything but the idea is a choice made here.
Objective: on the dataset KL(p‖q). On the student's own samples, with the classmate's c:
    form=target: D(p̃, q), p̃ ∝ p (p/c)^β on tokens with p >= a max p; D is the skew reverse KL, or
        reverse KL or JSD with the teacher's own probabilities on the other tokens.
    form=subtract: KL(q‖p) - λ min(KL(q‖c), clamp), the page's literal form, λ = β/(1+β).
    For reverse KL and a = 0 the two have the same gradient up to the factor 1-λ:
    KL(q‖p) - λ KL(q‖c) = (1-λ) KL(q‖p̃) - (1-λ) log Z. So the loss of `subtract` has no floor at 0.
Controls: classmate=teacher leaves the teacher (under skew_reverse_kl, its plausible tokens alone),
    classmate=uniform sharpens it to temperature 1/(1+β): what guidance must beat, because ROUGE-L
    of samples rewards sharpness.
Data: with probability `student_fraction` a batch of student samples, else the dataset. A trained
    classmate learns KL(p‖c) on the dataset alone, every second step, and so stays behind.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from kdbench.divergence import forward_kl, generalised_jsd, reverse_kl, skew_reverse_kl
from kdbench.methods import Method, methods
from kdbench.training import Chunk, Classmate, FromStudent, Match, Objective, Term, Triple
from kdbench.training.companion import Kind
from kdbench.training.target import contrast

if TYPE_CHECKING:
    import torch

Divergence = Literal["skew_reverse_kl", "reverse_kl", "jsd"]
_DIVERGENCES = {
    "skew_reverse_kl": skew_reverse_kl,
    "reverse_kl": reverse_kl,
    "jsd": generalised_jsd,
}


@dataclass(frozen=True)
class Guided(Objective):
    """What both forms share: the views, and how the three models differ on the samples."""

    views: ClassVar[tuple[str, ...]] = ("teacher", "classmate")
    floor: ClassVar[float | None] = None  # the target is not the teacher
    strength: float = 0.25
    plausibility: float = 0.1

    def target(self, chunk: Chunk, implausible: Literal["zero", "teacher"]) -> "torch.Tensor":
        """The contrasted distribution p̃ as log-probabilities, (n, V)."""
        log_c = chunk.log_prob("classmate")
        return contrast(chunk.log_p, log_c, self.strength, self.plausibility, implausible)

    def diagnostics(self, chunk: Chunk) -> Mapping[str, "torch.Tensor"]:
        """Divergences, agreements, and where the classmate changes the teacher's first choice."""
        log_q, log_p, log_c = chunk.log_q, chunk.log_p, chunk.log_prob("classmate")
        best = {"q": log_q.argmax(-1), "p": log_p.argmax(-1), "c": log_c.argmax(-1)}
        target = self.target(chunk, "zero")
        return {
            "classmate/kl_student_classmate": reverse_kl(log_c, log_q),
            "classmate/kl_student_teacher": reverse_kl(log_p, log_q),
            "classmate/kl_student_target": reverse_kl(self.target(chunk, "teacher"), log_q),
            "classmate/agree_student_classmate": (best["q"] == best["c"]).float(),
            "classmate/agree_student_teacher": (best["q"] == best["p"]).float(),
            "classmate/agree_classmate_teacher": (best["c"] == best["p"]).float(),
            "classmate/changed_first_choice": (target.argmax(-1) != best["p"]).float(),
        }


@dataclass(frozen=True)
class ContrastTarget(Guided):
    """A divergence to the contrasted target."""

    divergence: Divergence = "skew_reverse_kl"

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
        """λ = β/(1+β) is below 1 for every β, above which the loss would have no minimum."""
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
    form: Literal["target", "subtract"] = Field("target", description="how the classmate counts")
    strength: float = Field(0.25, ge=0, description="β; λ = β/(1+β)")
    plausibility: float = Field(0.1, ge=0, le=1, description="a, only tokens with p >= a max p")
    divergence: Divergence = Field("skew_reverse_kl", description="to the target")
    clamp: float = Field(5.0, gt=0, description="largest KL(q‖c) that form=subtract rewards, nats")
    student_fraction: float = Field(0.5, ge=0, le=1, description="share of student-sampled batches")
    classmate: Kind = Field("trained", description="trained, frozen, ema, teacher or uniform")
    classmate_model: Path | None = Field(
        None,
        description="checkpoint the classmate starts from, perhaps a smaller one (else as "
        "the student)",
    )
    classmate_every: int = Field(2, ge=1, description="student steps for one of the classmate")
    classmate_lag: float | None = Field(
        None, description="it waits while its validation loss is below the student's plus this"
    )
    classmate_decay: float = Field(0.99, ge=0, lt=1, description="of classmate=ema")

    def triple(self) -> Triple:
        """Forward KL on the dataset, guidance on the student's samples."""
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
        return Triple(terms, FromStudent(self.student_fraction), companion=companion)
