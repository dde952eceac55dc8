"""Sequence-level knowledge distillation: fine-tuning on the teacher's own responses.

Paper: Kim and Rush 2016 (arXiv 1606.07947), with samples instead of beam search, as in MiniLLM.
Objective: -log q(y) on y ~ p, one sample per training prompt; MiniLLM's baseline adds as much
    forward KL (`kd_ratio=0.5`). Forward KL on the dataset, which some code calls SeqKD, is `kd`.
Data: the teacher's responses, sampled once and kept. Without forward KL, the teacher may have a
    different tokenizer. A response that was cut at `max_new_tokens=` gets no end token, so that the
    student does not learn to stop there; MiniLLM's code appends one to every response, which is
    `truncated_end=append`. With `fresh` the teacher answers anew in every step, so that no response
    is learned twice, at the cost of the teacher's generation in each step.
"""

from typing import ClassVar, Literal

from pydantic import Field

from kdbench.divergence import forward_kl
from kdbench.methods import Method, methods
from kdbench.training import CrossEntropy, FromTeacher, Match, Term, Triple
from kdbench.training.sources.fresh import FreshFromTeacher


@methods.register("seqkd")
class SeqKD(Method):
    """Cross-entropy on the teacher's responses."""

    title: ClassVar[str] = "SeqKD"
    paper: ClassVar[str] = "Kim and Rush 2016, arXiv 1606.07947"
    cost: ClassVar[str] = "teacher generation, once"
    family: ClassVar[str] = "baselines"
    basis: ClassVar[str] = "paper"
    kd_ratio: float = Field(0.0, ge=0, le=1, description="r, weight of forward KL; CE has 1-r")
    fresh: bool = Field(
        False, description="whether the teacher answers anew in every step, instead of once"
    )
    truncated_end: Literal["omit", "append"] = Field(
        "omit",
        description="whether a response cut at max_new_tokens= gets an end token; append as "
        "MiniLLM's code does",
    )

    def triple(self) -> Triple:
        """Both terms on the teacher's responses."""
        terms = [
            Term(CrossEntropy(), 1 - self.kd_ratio),
            Term(Match(forward_kl), self.kd_ratio),
        ]
        source = FreshFromTeacher() if self.fresh else FromTeacher(self.truncated_end)
        return Triple([term for term in terms if term.weight], source)
