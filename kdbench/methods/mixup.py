"""Mixup in KD: both models are given mixtures of two rows, and the student learns on those.

Paper: arXiv 2211.03946, for images; the public code was read.
Objective: on inputs x̃ = λ x_i + (1-λ) x_j, λ ~ Beta(`spread`, `spread`) for each row,
      `ce_weight` (λ (-log q(y_i)) + (1-λ) (-log q(y_j))) + `kd_weight` KL(p‖q).
    λ = 1 is cross-entropy and forward KL on the row itself.
Adapted: input embeddings are mixed, aligned where the responses begin, with the same λ and partner
    on every view. Each row keeps its length; where the partner has no token, λ is 1. The paper
    divides both logits by their standard deviation (`scaled=true`); a language model is sampled
    from, and would be too sharp by that factor, so it is off by default. `mixed_share=0.1` is
    about what the code's partial mixup leaves.
Limits: tokens at the same place have nothing in common, and a mixture of embeddings is shorter than
    either, so the teacher's answer may mean nothing: see its entropy in the log.
Data: the dataset's responses.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from kdbench.divergence import entropy, forward_kl
from kdbench.methods import Mechanism, Method, methods
from kdbench.training import Chunk, Objective, Triple
from kdbench.training.sources.mixed import PARTNER, SHARE, MixedRows

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class OnMixtures(Objective):
    """Cross-entropy to both rows' tokens, and forward KL."""

    floor: ClassVar[float | None] = None
    ce_weight: float = 0.1
    kd_weight: float = 0.9
    scaled: bool = False

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """The two losses of each token."""
        log_p, log_q = self._scaled(chunk.view_logits("teacher")), self._scaled(chunk.logits)
        share, partner = chunk.plan[SHARE].to(log_q), chunk.plan[PARTNER].long()
        of_partner = log_q.gather(-1, partner[:, None])[:, 0]
        hard = -share * chunk.of_target(log_q) - (1 - share) * of_partner
        return self.ce_weight * hard + self.kd_weight * forward_kl(log_p, log_q)

    def _scaled(self, logits: "torch.Tensor") -> "torch.Tensor":
        if self.scaled:
            logits = logits / logits.std(-1, keepdim=True).clamp(min=1e-7)
        return logits.log_softmax(-1)

    def diagnostics(self, chunk: Chunk) -> Mapping[str, "torch.Tensor"]:
        """The teacher's entropy on the mixtures, and λ."""
        return {"mixup/teacher_entropy": entropy(chunk.log_p), "mixup/share": chunk.plan[SHARE]}

    def __str__(self) -> str:
        scaled = ", scaled" if self.scaled else ""
        return f"on_mixtures(ce={self.ce_weight:g}, kl={self.kd_weight:g}{scaled})"


@methods.register("mixup")
class Mixup(Method):
    """Cross-entropy and forward KL on mixtures of two rows' input embeddings."""

    title: ClassVar[str] = "Mixup (adapted)"
    paper: ClassVar[str] = "arXiv 2211.03946"
    cost: ClassVar[str] = "teacher forward"
    family: ClassVar[str] = "data"
    basis: ClassVar[str] = "authors' code"
    adapted: ClassVar[str] = "embeddings are mixed, aligned at the response; unscaled logits"
    mechanism: ClassVar[Mechanism | None] = Mechanism("ece", "down", "calibration")
    ce_weight: float = Field(0.1, ge=0, description="γ, weight of the cross-entropy")
    kd_weight: float = Field(0.9, ge=0, description="α, weight of the KL")
    spread: float = Field(1.0, gt=0, description="a of Beta(a, a), from which λ is drawn")
    mixed_share: float = Field(1.0, ge=0, le=1, description="share of the rows that are mixed")
    scaled: bool = Field(False, description="divide both logits by their standard deviation")

    def triple(self) -> Triple:
        """Both losses on mixtures of the dataset's rows."""
        objective = OnMixtures(self.ce_weight, self.kd_weight, self.scaled)
        return Triple(objective, MixedRows(self.spread, self.mixed_share))
