"""Reverse KL, token by token, on the dataset unless student samples are asked for.

Paper: Wen et al. 2023 (arXiv 2307.15190), who compare f-divergences. It is not MiniLLM, which is
    on-policy, though some tables call it that.
Objective: KL(q‖p).
Data: the dataset's responses, as in the loss-only baselines of DistiLLM and ABKD. Wen et al. train
    on student samples: with probability `student_fraction` a batch of new ones.
"""

from typing import ClassVar

from pydantic import Field

from kdbench.divergence import reverse_kl
from kdbench.methods import Mechanism, Method, methods
from kdbench.training import FromStudent, Match, Triple


@methods.register("rkl")
class RKL(Method):
    """Reverse KL to the teacher on the dataset."""

    title: ClassVar[str] = "RKL"
    paper: ClassVar[str] = "Wen et al. 2023, arXiv 2307.15190"
    cost: ClassVar[str] = "teacher forward"
    family: ClassVar[str] = "logits"
    basis: ClassVar[str] = "paper"
    mechanism: ClassVar[Mechanism | None] = Mechanism(
        "entropy_ratio@ref", "down", "mode seeking: a sharper student"
    )
    student_fraction: float = Field(
        0.0, ge=0, le=1, description="share of batches that are student samples"
    )

    def triple(self) -> Triple:
        """Reverse KL on the dataset or on student samples."""
        return Triple(Match(reverse_kl), FromStudent(self.student_fraction))
