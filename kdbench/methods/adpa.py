"""ADPA: what an aligned teacher prefers to its own reference is the advantage of a token.

Paper: arXiv 2502.17927; of its public code the trainer and the README were read. The README speaks
    of the teacher's reference, and its command passes a student, with which the term is no
    advantage of the teacher; here `reference_model` is the teacher before it was aligned.
Objective: on student samples -`advantage_weight` sum_v q_v a_v, a = log p - log p_ref; on the
    chosen responses -log q(y). The first is linear in q: its minimum puts all of q on the token
    with the largest a, and notes say that a weight above 3 over-optimises. Choices of kdbench
    against that, both off: a within ±`advantage_limit`, and `anchor_weight` KL(q‖q_0), q_0 the
    student at start. The log has the student's entropy on its samples as `adpa/entropy`.
Stages: with `dckd_share` the first steps train by DCKD (the paper's ADPA+).
Data: rows with `chosen` and `rejected`, whose prompts the student answers in every step.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from kdbench.divergence import entropy, reverse_kl
from kdbench.methods import Mechanism, Method, methods
from kdbench.methods.dckd import DCKD
from kdbench.training import Chunk, CrossEntropy, Frozen, Match, Objective, Stage, Term, Triple
from kdbench.training.sources.pairs import SamplesAndChosen

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class TeacherAdvantage(Objective):
    """Minus the mean over q of log p - log p_ref."""

    views = ("teacher", "reference")
    floor: ClassVar[float | None] = None  # -KL(p‖p_ref), and not the lowest
    limit: float | None = None

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """-sum_v q_v a_v."""
        advantage = chunk.log_p - chunk.log_prob("reference")
        if self.limit is not None:
            advantage = advantage.clamp(-self.limit, self.limit)
        return -(chunk.log_q.exp() * advantage).sum(-1)

    def diagnostics(self, chunk: Chunk) -> Mapping[str, "torch.Tensor"]:
        """The student's entropy, which falls to 0 where the term is over-optimised."""
        return {"adpa/entropy": entropy(chunk.log_q)}

    def __str__(self) -> str:
        return "teacher_advantage" + ("" if self.limit is None else f"(limit={self.limit:g})")


@methods.register("adpa")
class ADPA(Method):
    """The advantage of an aligned teacher over its reference, on student samples."""

    title: ClassVar[str] = "ADPA"
    paper: ClassVar[str] = "arXiv 2502.17927"
    cost: ClassVar[str] = "teacher and reference forward, student generation, two responses a row"
    family: ClassVar[str] = "rewards"
    basis: ClassVar[str] = "authors' code and third-party notes"
    data: ClassVar[str] = "prompts with chosen and rejected; an aligned teacher and its reference"
    mechanism: ClassVar[Mechanism | None] = Mechanism(
        "short:response_length",
        "down",
        "responses in the short form that the aligned teacher prefers",
    )
    required: ClassVar[tuple[str, ...]] = ("reference_model",)
    reference_model: Path | None = Field(
        None, description="checkpoint of the teacher before it was aligned"
    )
    advantage_weight: float = Field(1.5, gt=0, description="γ, weight of the advantage")
    advantage_limit: float | None = Field(
        None, gt=0, description="largest size of a token's advantage, nats"
    )
    anchor_weight: float = Field(
        0.0, ge=0, description="weight of KL(q‖q_0) on the samples, q_0 the student at start"
    )
    dckd_share: float = Field(
        0.0, ge=0, lt=1, description="share of the steps that train by DCKD first (ADPA+)"
    )

    def stages(self) -> Sequence[Stage]:
        """DCKD if it has a share, then the advantage with cross-entropy on the chosen responses."""
        terms = [
            Term(TeacherAdvantage(self.advantage_limit), self.advantage_weight, on=("student",)),
            Term(CrossEntropy(), on=("chosen",)),
        ]
        companions = [Frozen("reference", self.reference_model)]
        if self.anchor_weight:
            terms.append(Term(Match(reverse_kl, view="start"), self.anchor_weight, ("student",)))
            companions.append(Frozen("start"))
        triple = Triple(terms, SamplesAndChosen(), companions=companions)
        if not self.dckd_share:
            return [Stage(triple)]
        first = Stage(DCKD().triple(), self.dckd_share, name="dckd")
        return [first, Stage(triple, 1 - self.dckd_share, name="adpa")]
