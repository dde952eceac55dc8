"""FIRST: the teacher's few likeliest tokens, at a temperature that makes it trustworthy.

Paper: FIRST (arXiv 2408.12168); its public code was read. The released run passes probabilities
    where log-probabilities are meant, and so trains hard labels; this is the described loss.
Objective: KL(p' ‖ q'), p' and q' over the teacher's `top_k` tokens: q' renormalised, p'
    renormalised from p^(1/T), T = `target_temperature`. What q puts on other tokens costs nothing.
    The paper finds T on validation data, where it makes the teacher calibrated; here it is a key.
Data: the dataset's responses.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from kdbench.divergence import forward_kl
from kdbench.methods import Mechanism, Method, methods
from kdbench.training import Chunk, Objective, Triple

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class TopTokens(Objective):
    """Forward KL over the teacher's likeliest tokens, both sides renormalised."""

    floor: ClassVar[float | None] = None  # 0 only at temperature 1
    takes_top_k = True
    top_k: int = 5
    target_temperature: float = 1.0

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """KL(p'‖q')."""
        cached = chunk.top_k("teacher")
        log_p, ids = (chunk.log_p, None) if cached is None else (cached.log_p, cached.ids)
        top = log_p.topk(min(self.top_k, log_p.shape[-1]), dim=-1)
        tokens = top.indices if ids is None else ids.gather(-1, top.indices)
        target = (top.values / self.target_temperature).log_softmax(-1)
        return forward_kl(target, chunk.logits.gather(-1, tokens).log_softmax(-1))

    def __str__(self) -> str:
        return f"top_tokens_kl(top_k={self.top_k}, temperature={self.target_temperature:g})"


@methods.register("first")
class FIRST(Method):
    """Forward KL over the teacher's few likeliest tokens, at a calibrating temperature."""

    title: ClassVar[str] = "FIRST"
    paper: ClassVar[str] = "arXiv 2408.12168"
    cost: ClassVar[str] = "teacher forward, or none with cached scores"
    family: ClassVar[str] = "logits"
    basis: ClassVar[str] = "authors' code and abstract"
    mechanism: ClassVar[Mechanism | None] = Mechanism("ece", "down", "calibration")
    top_k: int = Field(5, ge=2, description="k, number of the teacher's tokens")
    target_temperature: float = Field(
        1.0, gt=0, description="T, divides the teacher's log-probabilities"
    )

    def triple(self) -> Triple:
        """The divergence on the dataset."""
        return Triple(TopTokens(self.top_k, self.target_temperature))
