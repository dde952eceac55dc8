"""TSD-KD: three losses on the tokens of a student sample where they matter.

Paper: TSD-KD (arXiv 2603.13260); its public code was read. The code ranks in reverse, finds the
    opener over the whole batch, and keeps 90 % of the tokens for the entropy; this is the described
    method, so the published numbers are no reference for it.
Objective: of a response with entropies H_q(1..n):
      `ranking_weight` × the mean over the opener, its first tokens up to `opener_share` of the sum
        of H_q, of the Plackett-Luce loss of the student's `top_k` tokens in the teacher's order;
      + the mean over all tokens of g JSD, g = σ((H_q - H_p)/`gate_temperature`), constant, and JSD
        with the teacher's weight `teacher_weight`;
      + `entropy_weight` × the mean of H_q over its `entropy_share` of tokens with the highest H_q.
    The paper sums the first over the opener; the code averages, and so does this.
Data: new student samples.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from kdbench.divergence import entropy, generalised_jsd
from kdbench.methods import Mechanism, Method, methods
from kdbench.training import Chunk, FromStudent, Objective, Plan, Triple
from kdbench.training.ranking import losses_of_places

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class TokenSelective(Objective):
    """Ranking in the opener, gated JSD everywhere, entropy where the student is least sure."""

    floor: ClassVar[float | None] = None  # the entropy remains
    opener_share: float = 0.1
    top_k: int = 10
    ranking_weight: float = 0.1
    teacher_weight: float = 0.9
    gate_temperature: float = 1.0
    entropy_share: float = 0.1
    entropy_weight: float = 1.0

    def plan(self, plan: Plan) -> Mapping[str, "torch.Tensor"]:
        """The gate, and the weights of opener and unsure tokens.

        A mean over s of a response's n tokens is a sum over all with the weight n/s on these, so
        that the loss does not depend on the micro-batches.
        """
        of_student, of_teacher = plan.entropy("student"), plan.entropy("teacher")
        before = of_student.cumsum(-1) - of_student
        opener = plan.mask & (before < self.opener_share * of_student.sum(-1, keepdim=True))
        opener[:, 0] = True  # where all entropies are 0
        lengths = plan.mask.sum(-1, keepdim=True)
        ranks = of_student.masked_fill(~plan.mask, -1).argsort(-1, descending=True).argsort(-1)
        unsure = ranks < (self.entropy_share * lengths).ceil()
        return {
            "opener": opener * lengths / opener.sum(-1, keepdim=True),
            "unsure": unsure * lengths / unsure.sum(-1, keepdim=True).clamp(min=1),
            "gate": ((of_student - of_teacher) / self.gate_temperature).sigmoid(),
        }

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """The three losses of each token."""
        log_q = chunk.log_q
        own = log_q.detach().topk(min(self.top_k, log_q.shape[-1]), dim=-1).indices
        by_teacher = chunk.log_p.gather(-1, own).argsort(-1, descending=True)
        ranking = losses_of_places(log_q.gather(-1, own), by_teacher).sum(-1)
        jsd = generalised_jsd(chunk.log_p, log_q, self.teacher_weight)
        return (
            self.ranking_weight * chunk.plan["opener"] * ranking
            + chunk.plan["gate"] * jsd
            + self.entropy_weight * chunk.plan["unsure"] * entropy(log_q)
        )

    def __str__(self) -> str:
        return "token_selective"


@methods.register("tsd")
class TSD(Method):
    """Ranking, gated JSD and entropy on selected tokens of student samples."""

    title: ClassVar[str] = "TSD-KD"
    paper: ClassVar[str] = "arXiv 2603.13260"
    cost: ClassVar[str] = "teacher forward, student generation"
    family: ClassVar[str] = "on_policy"
    basis: ClassVar[str] = "authors' code and third-party notes"
    mechanism: ClassVar[Mechanism | None] = Mechanism(
        "entropy_ratio@ref", "down", "entropy where the student is unsure"
    )
    opener_share: float = Field(
        0.1, gt=0, le=1, description="c, share of a response's entropy in its opener"
    )
    top_k: int = Field(10, ge=2, description="number of the student's tokens that are ranked")
    ranking_weight: float = Field(0.1, ge=0, description="α, weight of the ranking")
    teacher_weight: float = Field(0.9, gt=0, lt=1, description="w, teacher's share in the JSD")
    gate_temperature: float = Field(1.0, gt=0, description="divides the entropy gap in the gate")
    entropy_share: float = Field(
        0.1, gt=0, le=1, description="share of a response's tokens whose entropy is lowered"
    )
    entropy_weight: float = Field(1.0, ge=0, description="weight of the entropy")

    def triple(self) -> Triple:
        """All three on student samples."""
        objective = TokenSelective(**self.model_dump())
        return Triple(objective, FromStudent())
