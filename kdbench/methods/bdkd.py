"""BD-KD, offline: both directions of KL, the one that the entropies ask for with more weight.

Paper: Amara et al., arXiv 2212.12965, for images; only its opening and summaries were read, and the
    rule in the baseline of ABKD's repository. Adapted here from samples to tokens.
Objective: w_f KL(p‖q) + w_r KL(q‖p), w_f = `emphasis` where H(p) > H(q), w_r = `emphasis` where
    H(q) > H(p), otherwise 1; the weights are constant. The baseline has cross-entropy in place of
    KL(p‖q), and 3 in place of 2.
Data: the dataset's responses.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from kdbench.divergence import entropy, forward_kl, reverse_kl
from kdbench.methods import Mechanism, Method, methods
from kdbench.training import Chunk, Objective, Triple

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
    cost: ClassVar[str] = "teacher forward"
    family: ClassVar[str] = "logits"
    basis: ClassVar[str] = "abstract and a third party's code"
    adapted: ClassVar[str] = (
        "weights by token instead of by image, and a teacher that does not learn"
    )
    mechanism: ClassVar[Mechanism | None] = Mechanism(
        "entropy_ratio@ref", "down", "the gap of the entropies closes"
    )
    emphasis: float = Field(2.0, ge=1, description="δ, weight of the emphasised direction")

    def triple(self) -> Triple:
        """Both directions on the dataset."""
        return Triple(BothDirections(self.emphasis))
