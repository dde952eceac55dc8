"""Sequence-level knowledge distillation: fine-tuning on the teacher's own responses.

Paper: Kim and Rush 2016 (arXiv 1606.07947), with samples for the beam search, as MiniLLM has it.
Objective: -log q(y) on y ~ p, one sample for each training prompt; MiniLLM's baseline adds as much
    forward KL (`kd_ratio=0.5`). Token-level forward KL on the dataset is `kd`, though some code
    calls that SeqKD.
Data: the teacher's responses, sampled once and kept; a teacher of another tokenizer will do.
"""

from typing import ClassVar

from pydantic import Field

from kdbench.divergence import forward_kl
from kdbench.methods import Method, methods
from kdbench.training import CrossEntropy, FromTeacher, Match, Term, Triple


@methods.register("seqkd")
class SeqKD(Method):
    """Cross-entropy on the teacher's responses."""

    title: ClassVar[str] = "SeqKD"
    paper: ClassVar[str] = "Kim and Rush 2016, arXiv 1606.07947"
    cost: ClassVar[str] = "teacher generation, once"
    kd_ratio: float = Field(0.0, ge=0, le=1, description="weight of forward KL; CE has the rest")

    def triple(self) -> Triple:
        """On the teacher's responses."""
        terms = [
            Term(CrossEntropy(), 1 - self.kd_ratio),
            Term(Match(forward_kl), self.kd_ratio),
        ]
        return Triple([term for term in terms if term.weight], FromTeacher())
