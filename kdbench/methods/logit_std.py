"""Logit standardisation: only the order and the relative distances of the logits are matched.

Paper: Sun et al. 2024 (arXiv 2403.01427), for classes of images; the authors' code was read, which
    gives the weights and the temperature.
Objective: `ce_weight` CE + `kd_weight` T² KL(p'‖q'), p' = softmax(z'/T), z' = (z - mean z) / std z
    in both models, with the unbiased std, over all V tokens or over the teacher's top k (`over`).
The student's scale is then free: its gradient is orthogonal to its logits, and cross-entropy alone
    determines its temperature. Over all of a real vocabulary the std is that of the tail, so that
    the target depends on V: logits (10, 9, 5, 2) give their first token a p' of .37 alone and .11
    beside 10,000 others, while its p is .73 both times. `over=20` leaves the tail out, a choice of
    kdbench; what q puts on other tokens is then left to the cross-entropy.
Data: the dataset's responses.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from kdbench.divergence import forward_kl
from kdbench.methods import Mechanism, Method, methods
from kdbench.training import Chunk, CrossEntropy, Objective, Term, Triple
from kdbench.training.target import standardised, tempered
from kdbench.training.top_tokens import likeliest

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Standardised(Objective):
    """Forward KL between standardised logits."""

    temperature: float = 2.0
    over: int | Literal["all"] = "all"

    @property
    def takes_top_k(self) -> bool:  # type: ignore[override]
        """Log-probabilities are logits but for a constant, which standardising removes."""
        return self.over != "all"

    @property
    def least_top_k(self) -> int:  # type: ignore[override]
        """The tokens that it is over."""
        return 1 if self.over == "all" else self.over

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """T² KL(p'‖q')."""
        log_p, log_q = (
            tempered(standardised(logits), self.temperature) for logits in self._both(chunk)
        )
        return self.temperature**2 * forward_kl(log_p, log_q)

    def _both(self, chunk: Chunk) -> "tuple[torch.Tensor, torch.Tensor]":
        """The logits of teacher and student over the same tokens."""
        if self.over == "all":
            return chunk.view_logits("teacher"), chunk.logits
        scores, ids = likeliest(chunk, "teacher", self.over)
        return scores, chunk.logits.gather(-1, ids)

    def __str__(self) -> str:
        over = "" if self.over == "all" else f", over={self.over}"
        return f"standardised_kl(temperature={self.temperature:g}{over})"


@methods.register("logit_std")
class LogitStandardisation(Method):
    """Forward KL between standardised logits, mixed with cross-entropy."""

    title: ClassVar[str] = "LogitStd"
    paper: ClassVar[str] = "Sun et al. 2024, arXiv 2403.01427"
    cost: ClassVar[str] = "teacher forward, or none with cached scores and over=K"
    family: ClassVar[str] = "logits"
    basis: ClassVar[str] = "authors' code"
    mechanism: ClassVar[Mechanism | None] = Mechanism(
        "kendall@ref", "up", "the order of the teacher's likeliest tokens"
    )
    temperature: float = Field(2.0, gt=0, description="T, divides both standardised logits")
    over: Annotated[int, Field(ge=3)] | Literal["all"] = Field(
        "all", description="tokens that are standardised: all, or the teacher's likeliest K >= 3"
    )
    ce_weight: float = Field(0.1, ge=0, description="weight of the cross-entropy")
    kd_weight: float = Field(9.0, gt=0, description="weight of the divergence")

    def triple(self) -> Triple:
        """Both terms on the dataset's responses."""
        terms = [
            Term(CrossEntropy(), self.ce_weight),
            Term(Standardised(self.temperature, self.over), self.kd_weight),
        ]
        return Triple([term for term in terms if term.weight])
