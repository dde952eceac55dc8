"""Speculative knowledge distillation: student samples in which the teacher replaces poor tokens.

Paper: Speculative KD (arXiv 2410.11325); notes on it were read, and neither its text nor its code.
Objective: KL(p‖q) on the resulting text.
Data: interleaved samples. The student samples each token; it is kept if it is among the teacher's
    `top_k` likeliest, otherwise a sample of the teacher takes its place. `replacement=teacher`
    samples from all of p; with `top_k`, p is cut to the same tokens, so that `top_k=1` is the
    teacher's greedy text. A `top_k` of the whole vocabulary is plain student sampling.
The teacher runs a step per token, as in MiniLLM's mixture. To verify drafted blocks, as speculative
    decoding does, would give the same texts faster.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from kdbench.generate.decoding.interleaved import Replacement
from kdbench.methods import Mechanism, Method, methods
from kdbench.training import Chunk, Match, Triple
from kdbench.training.sources.interleaved import FromInterleaved

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class MatchInterleaved(Match):
    """KL(p‖q), which logs how likely both models find the texts."""

    def diagnostics(self, chunk: Chunk) -> "Mapping[str, torch.Tensor]":
        """`text/log_p` and `text/log_q`: the mean log-probabilities of the tokens."""
        return {
            "text/log_p": chunk.of_target(chunk.log_p),
            "text/log_q": chunk.of_target(chunk.log_q),
        }

    @property
    def takes_top_k(self) -> bool:  # type: ignore[override]
        """The teacher takes part in sampling, so all of its distribution is there."""
        return False


@methods.register("skd")
class SKD(Method):
    """Forward KL on student samples whose poor tokens the teacher replaces."""

    title: ClassVar[str] = "SKD"
    paper: ClassVar[str] = "arXiv 2410.11325"
    cost: ClassVar[str] = "teacher forward, generation by both"
    family: ClassVar[str] = "on_policy"
    basis: ClassVar[str] = "third-party notes"
    mechanism: ClassVar[Mechanism | None] = Mechanism(
        "log:text/log_p", "up", "the teacher finds the training texts likelier than plain samples"
    )
    plain_sampling: ClassVar[bool] = True
    top_k: int = Field(25, ge=1, description="K; tokens among the teacher's K likeliest are kept")
    replacement: Replacement = Field(
        "teacher", description="what replaces others: a sample of the teacher, or of its top_k"
    )

    def triple(self) -> Triple:
        """Forward KL on interleaved samples."""
        return Triple(MatchInterleaved(), FromInterleaved(self.top_k, self.replacement))
