"""Weak-to-strong: a student learns from a weaker teacher, and more and more from itself.

Paper: Burns et al. 2023 (arXiv 2312.09390), read in third-party notes alone; the loss and the
    warm-up are from memory. It is for labels; a token is the label here.
Objective: (1-a) KL(p‖q) - a log q(v), p the weak teacher, v the student's own first choice: up to
    the entropy of p, the cross-entropy to the target (1-a) p + a 1_v, v without gradient. a = 0 is
    forward KL. The paper's threshold, which keeps the classes of its student balanced, has no
    counterpart here.
Schedule: a rises linearly from 0 to `own_weight` in the first `warmup` of the training.
Data: the weak teacher's responses, sampled once and kept, since the strong student of the question
    sees no others. `responses=fresh` samples them anew in every step, which costs less where few of
    the prompts are used; `responses=dataset` takes those of the dataset, which may be better than
    the teacher.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from kdbench.divergence import forward_kl
from kdbench.methods import Mechanism, Method, methods
from kdbench.training import Chunk, FromDataset, FromTeacher, Objective, Schedule, Triple
from kdbench.training.sources.fresh import FreshFromTeacher

if TYPE_CHECKING:
    import torch


@dataclass
class OwnWeight(Schedule):
    """The weight of the student's own choices rises linearly, then stays."""

    most: float = 0.75
    warmup: float = 0.2

    def values(self, progress: float) -> dict[str, float]:
        """a, after a share of the steps."""
        share = 1.0 if progress >= self.warmup else progress / self.warmup
        return {"own_weight": self.most * share}

    def __str__(self) -> str:
        return f"own weight rises to {self.most:g}"


@dataclass(frozen=True)
class Confident(Objective):
    """KL(p‖q) to the weak teacher, mixed with cross-entropy to the student's own first choice."""

    floor: ClassVar[float | None] = None  # what the student's own choice costs

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """(1-a) KL(p‖q) - a log q(v)."""
        own_weight = chunk.schedule["own_weight"]
        own = -chunk.log_q.max(-1).values
        return (1 - own_weight) * forward_kl(chunk.log_p, chunk.log_q) + own_weight * own

    def __str__(self) -> str:
        return "forward_kl + own first choice"


@methods.register("weak_to_strong")
class WeakToStrong(Method):
    """Forward KL to a weak teacher, mixed with cross-entropy to the student's first choices."""

    title: ClassVar[str] = "Weak-to-strong"
    paper: ClassVar[str] = "Burns et al. 2023, arXiv 2312.09390"
    cost: ClassVar[str] = "teacher generation, once; teacher forward"
    family: ClassVar[str] = "logits"
    basis: ClassVar[str] = "third-party notes"
    mechanism: ClassVar[Mechanism | None] = Mechanism(
        "lm_loss", "down", "own choices keep what the weak teacher does not know"
    )
    own_weight: float = Field(
        0.75, ge=0, le=1, description="largest a, weight of the student's own first choices"
    )
    warmup: float = Field(0.2, gt=0, le=1, description="share of the training in which a rises")
    responses: Literal["teacher", "fresh", "dataset"] = Field(
        "teacher",
        description="whose responses are learned: the weak teacher's, sampled once or in every "
        "step (fresh), or the dataset's",
    )

    def triple(self) -> Triple:
        """Both parts on the responses, a by schedule."""
        sources = {"teacher": FromTeacher, "fresh": FreshFromTeacher, "dataset": FromDataset}
        source = sources[self.responses]()
        return Triple(Confident(), source, OwnWeight(self.own_weight, self.warmup))
