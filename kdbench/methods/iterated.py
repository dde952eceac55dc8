"""Iterated self-distillation: each student learns from the one before it and from the labels.

Papers: "Even your teacher needs guidance" (arXiv 2102.13088) on self-distillation with ground-truth
    weights (its code and the abstract were read), and recursive meta-distillation (arXiv
    2601.13100; abstract and opening only: it gives no algorithm, and `target=anchored` is a choice
    of kdbench in its spirit). The code's weight of the labels is 1 by default, which is no
    distillation, and it selects models on the test set.
Objective: with p the student before,
    target=labels: the first generation learns the labels alone, each later one the cross-entropy
      to a 1_y + (1-a) p, a = `truth_weight`. In kernel ridge regression, f_n = S (a y + (1-a)
      f_{n-1}): a = 0 regularises more with each generation, down to nothing; a > 0 settles at
      a S (I - (1-a) S)⁻¹ y.
    target=anchored: a CE + (1-a) KL(t‖q) with t ∝ r^g p^(1-g), or for `anchor_mean=arithmetic`
      g r + (1-g) p; r is the anchor and g = `anchor_share`. The KL to r then contracts with each
      generation, by (1-g)² where it is small. In the first generation t is r, or with
      `first_target=mixed` the mixture of r and the student before training. The anchor is
      `anchor_model`, or the student before training.
Data: the dataset's responses. Each generation has an equal share of the steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from kdbench.divergence import cross_entropy, forward_kl, mixture
from kdbench.methods import Mechanism, Method, methods
from kdbench.training import Chunk, CrossEntropy, Frozen, Match, Objective, Stage, Term, Triple

if TYPE_CHECKING:
    import torch

ANCHOR, START = "anchor", "start"


@dataclass(frozen=True)
class Generation(Objective):
    """Cross-entropy to a mixture of the label and the last student's distribution."""

    floor: ClassVar[float | None] = None  # the entropy of the target
    truth_weight: float = 0.3

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """-sum (a 1_y + (1-a) p) log q."""
        truth = -chunk.of_target(chunk.log_q)
        return blend(truth, cross_entropy(chunk.log_p, chunk.log_q), self.truth_weight)

    def __str__(self) -> str:
        return f"cross_entropy({self.truth_weight:g} label)"


@dataclass(frozen=True)
class Anchored(Objective):
    """KL(t‖q), the target t between the anchor and the last student.

    Attributes:
        anchor_share: g, the share of the anchor.
        mean: How the two are mixed.
        last: The view of the last student.
    """

    anchor_share: float = 0.3
    mean: Literal["geometric", "arithmetic"] = "geometric"
    last: str = "teacher"

    @property
    def views(self) -> tuple[str, ...]:  # type: ignore[override]
        """The last student and the anchor."""
        return (self.last, ANCHOR)

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """KL(t‖q)."""
        last = chunk.log_prob(self.last)
        target = anchored(chunk.log_prob(ANCHOR), last, self.anchor_share, self.mean)
        return forward_kl(target, chunk.log_q)

    def __str__(self) -> str:
        return f"forward_kl({self.mean} anchor {self.anchor_share:g})"


def blend(truth: "torch.Tensor", last: "torch.Tensor", truth_weight: float) -> "torch.Tensor":
    """The sum a truth + (1-a) last, of targets or of losses that are linear in the target."""
    return truth_weight * truth + (1 - truth_weight) * last


def anchored(
    log_anchor: "torch.Tensor", log_last: "torch.Tensor", share: float, mean: str
) -> "torch.Tensor":
    """Log-probabilities of the mean of two distributions, (..., V), with the anchor's share."""
    if mean == "arithmetic":
        return mixture(log_anchor, log_last, share)
    return blend(log_anchor, log_last, share).log_softmax(-1)


@methods.register("iterated")
class Iterated(Method):
    """Generations of students, each from the labels and the student before; needs no teacher."""

    title: ClassVar[str] = "Iterated SD"
    paper: ClassVar[str] = "Even your teacher needs guidance 2021, arXiv 2102.13088"
    cost: ClassVar[str] = "forward pass of the last student"
    family: ClassVar[str] = "self"
    basis: ClassVar[str] = "authors' code and abstract"
    mechanism: ClassVar[Mechanism | None] = Mechanism(
        "lm_loss", "down", "labels damp what a chain of students alone loses"
    )
    needs_teacher: ClassVar[bool] = False
    generations: int = Field(3, ge=1, description="number of students, one after the other")
    truth_weight: float = Field(0.3, ge=0, le=1, description="a, weight of the labels")
    begin: Literal["initial", "last"] = Field(
        "initial", description="the student from which each generation begins"
    )
    target: Literal["labels", "anchored"] = Field(
        "labels", description="what the last student is mixed with"
    )
    anchor_share: float = Field(0.3, ge=0, le=1, description="g, the anchor's share in the target")
    anchor_mean: Literal["geometric", "arithmetic"] = Field(
        "geometric", description="how target=anchored mixes the two distributions"
    )
    first_target: Literal["anchor", "mixed"] = Field(
        "anchor",
        description="what the first generation of target=anchored learns from: the anchor, or its "
        "mixture with the student before training",
    )
    anchor_model: Path | None = Field(
        None, description="checkpoint of the anchor (default: the student before training)"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.target == "labels" and self.anchor_model is not None:
            raise ValueError("anchor_model= is for target=anchored: leave it out, or pass that")
        if self.target == "labels" and self.first_target == "mixed":
            raise ValueError(
                "first_target=mixed is for target=anchored: leave it out, or pass that"
            )
        own = self.target == "anchored" and self.anchor_model is None
        if own and self.first_target == "mixed":
            raise ValueError("first_target=mixed needs an anchor beside the student: anchor_model=")
        if own and self.begin == "last":
            raise ValueError(
                "begin=last has no student before training as anchor: pass anchor_model=, or "
                "begin=initial"
            )
        if own and self.truth_weight == 0:
            raise ValueError(
                "a student that is anchored to itself learns nothing without labels: pass "
                "anchor_model=, or a truth_weight= above 0"
            )
        return self

    def stages(self) -> Sequence[Stage]:
        """The first generation, and those that learn from the one before."""
        later = [
            Stage(
                self._triple(Anchored(self.anchor_share, self.anchor_mean)),
                teacher="last student",
                student="initial" if self.begin == "initial" else "keep",
                name=f"generation {number}",
            )
            for number in range(2, self.generations + 1)
        ]
        first = self._triple(self._first_divergence(), first=True)
        return [Stage(first, teacher=None, name="generation 1"), *later]

    def _first_divergence(self) -> Objective:
        if self.first_target == "mixed":
            return Anchored(self.anchor_share, self.anchor_mean, last=START)
        return Match(forward_kl, view=ANCHOR)

    def _triple(self, divergence: Objective, first: bool = False) -> Triple:
        """What a generation trains with; `divergence` is that of target=anchored."""
        if self.target == "labels":
            return Triple(CrossEntropy() if first else Generation(self.truth_weight))
        terms = [Term(CrossEntropy(), self.truth_weight), Term(divergence, 1 - self.truth_weight)]
        companions = [Frozen(ANCHOR, self.anchor_model)]
        if first and self.first_target == "mixed":
            companions.append(Frozen(START))
        return Triple([term for term in terms if term.weight], companions=companions)
