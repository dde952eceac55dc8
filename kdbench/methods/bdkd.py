"""BD-KD: both directions of KL, the one that the entropies ask for with more weight.

Paper: Amara et al., arXiv 2212.12965, for images; only its opening and summaries were read, and the
    rule in the baseline of ABKD's repository. Adapted here from samples to tokens.
Objective: w_f KL(p‖q) + w_r KL(q‖p), w_f = `emphasis` where H(p) > H(q), w_r = `emphasis` where
    H(q) > H(p), otherwise 1; the weights are constant; plus `ce_weight` CE. The baseline has
    cross-entropy in place of KL(p‖q), and 3 in place of 2.
Online (`teacher_learns=true`, and `ce_weight=1` in the paper): the teacher learns from the same
    responses by CE + `peer_weight` KL(p‖q), q constant, in float32; its checkpoint stays as it is.
    The notes call that term "reverse KL" without its sides; here it is reverse as the learning
    model sees it, and `peer_divergence=forward` is KL(q‖p). The models move together: watch
    `eval_teacher_loss`, the teacher's own validation loss.
Data: the dataset's responses.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from kdbench.divergence import entropy, forward_kl, reverse_kl
from kdbench.methods import Mechanism, Method, methods
from kdbench.training import Chunk, CrossEntropy, Match, Objective, Peer, Term, Triple

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class BothDirections(Objective):
    """Forward and reverse KL with weights by the gap of the entropies."""

    takes_top_k = True
    emphasis: float = 2.0

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """w_f KL(p‖q) + w_r KL(q‖p)."""
        log_p, log_q = chunk.pair("teacher")
        gap = (entropy(log_q) - entropy(log_p)).detach()
        forward, reverse = 1 + (self.emphasis - 1) * (gap < 0), 1 + (self.emphasis - 1) * (gap > 0)
        return forward * forward_kl(log_p, log_q) + reverse * reverse_kl(log_p, log_q)

    def diagnostics(self, chunk: Chunk) -> "dict[str, torch.Tensor]":
        """`entropy_gap`: H(q) - H(p), nats."""
        log_p, log_q = chunk.pair("teacher")
        return {"entropy_gap": entropy(log_q) - entropy(log_p)}

    def __str__(self) -> str:
        return f"both_kl(emphasis={self.emphasis:g})"


@methods.register("bdkd")
class BDKD(Method):
    """Forward and reverse KL, weighted by which model is less sure."""

    title: ClassVar[str] = "BD-KD (adapted)"
    paper: ClassVar[str] = "Amara et al. 2022, arXiv 2212.12965"
    cost: ClassVar[str] = "teacher forward, and its training if it learns"
    family: ClassVar[str] = "logits"
    basis: ClassVar[str] = "abstract, third-party notes and code"
    adapted: ClassVar[str] = "weights by token instead of by image"
    mechanism: ClassVar[Mechanism | None] = Mechanism(
        "entropy_ratio@ref", "down", "the gap of the entropies closes"
    )
    emphasis: float = Field(2.0, ge=1, description="δ, weight of the emphasised direction")

    ce_weight: float = Field(0.0, ge=0, description="weight of the cross-entropy")
    teacher_learns: bool = Field(False, description="whether the teacher learns with the student")
    peer_divergence: Literal["forward", "reverse"] = Field(
        "reverse", description="direction of a learning teacher's KL to the student"
    )
    peer_weight: float = Field(1.0, ge=0, description="weight of a learning teacher's KL")
    teacher_rate: float = Field(
        1.0, gt=0, description="a learning teacher's learning rate as a multiple of the student's"
    )

    def triple(self) -> Triple:
        """Both directions on the dataset."""
        terms = [Term(BothDirections(self.emphasis)), Term(CrossEntropy(), self.ce_weight)]
        terms = [term for term in terms if term.weight]
        return Triple(terms, companions=[self._peer()] if self.teacher_learns else [])

    def _peer(self) -> Peer:
        divergence = reverse_kl if self.peer_divergence == "reverse" else forward_kl
        toward = Term(Match(divergence, view="student"), self.peer_weight)
        return Peer(
            "teacher",
            [Term(CrossEntropy()), *([toward] if self.peer_weight else [])],
            "teacher",
            rate=self.teacher_rate,
            validated=True,
        )
