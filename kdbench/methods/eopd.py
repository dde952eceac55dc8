"""EOPD: on-policy reverse KL, and forward KL where the teacher is unsure.

Paper: entropy-aware on-policy distillation (arXiv 2603.07079); notes on it were read, no code.
Objective: KL(q‖p) + w 1[H(p) > `entropy_limit`] F, F = sum over the teacher's `top_k` tokens of
    p' log(p'/q), p' renormalised over these (q is not; a choice of kdbench), w = `forward_weight`.
Data: new student samples.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from kdbench.divergence import entropy, reverse_kl
from kdbench.methods import Mechanism, Method, methods
from kdbench.training import Chunk, FromStudent, Objective, Triple

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class EntropyAware(Objective):
    """Reverse KL, and forward KL on the likeliest tokens of an unsure teacher."""

    floor: ClassVar[float | None] = None  # the forward part is cut at k tokens
    forward_weight: float = 1.0
    entropy_limit: float = 0.8
    top_k: int = 16

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """KL(q‖p) + w 1[H(p) > limit] F."""
        top = chunk.log_p.topk(min(self.top_k, chunk.log_p.shape[-1]), dim=-1)
        log_p = top.values.log_softmax(-1)
        forward = (log_p.exp() * (log_p - chunk.log_q.gather(-1, top.indices))).sum(-1)
        unsure = entropy(chunk.log_p) > self.entropy_limit
        return reverse_kl(chunk.log_p, chunk.log_q) + self.forward_weight * unsure * forward

    def diagnostics(self, chunk: Chunk) -> "dict[str, torch.Tensor]":
        """`teacher_unsure`: the share of tokens with the forward part."""
        return {"teacher_unsure": (entropy(chunk.log_p) > self.entropy_limit).float()}

    def __str__(self) -> str:
        return f"entropy_aware_kl(above {self.entropy_limit:g} nats)"


@methods.register("eopd")
class EOPD(Method):
    """Reverse KL on student samples, and forward KL where the teacher is unsure."""

    title: ClassVar[str] = "EOPD"
    paper: ClassVar[str] = "arXiv 2603.07079"
    cost: ClassVar[str] = "teacher forward, student generation"
    family: ClassVar[str] = "on_policy"
    basis: ClassVar[str] = "third-party notes"
    mechanism: ClassVar[Mechanism | None] = Mechanism(
        "top1_decision@ref", "up", "agreement where the teacher is unsure"
    )
    forward_weight: float = Field(1.0, ge=0, description="weight of the forward part")
    entropy_limit: float = Field(
        0.8, ge=0, description="entropy of the teacher above which it is unsure, nats"
    )
    top_k: int = Field(16, ge=1, description="number of the teacher's tokens in the forward part")

    def triple(self) -> Triple:
        """Both parts on student samples."""
        return Triple(
            EntropyAware(self.forward_weight, self.entropy_limit, self.top_k), FromStudent()
        )
