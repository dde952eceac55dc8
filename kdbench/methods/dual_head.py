"""Dual-Head KD: labels through one head, the teacher's logits through a second one.

Paper: DHKD (arXiv 2411.08937); the abstract and the public code were read.
Objective: -log q(y) on the student's head, and on a second head with logits u
      B = τ² sum_v KL(Bern(½) ‖ Bern(σ((u_v - z_v)/τ))) = τ² sum_v log cosh((u_v - z_v)/(2τ)),
    z the teacher's logits. The released code clamps σ in float32, so that from a difference of 34
    on (at τ = 2) the loss is infinite; |x| + log(1 + e^(-2|x|)) - log 2 is the same and never
    overflows.
Adapted: B grows with V, so its weight is `matching_weight` · 100/V, a choice of kdbench; the code
    has 0.1 with a linear second head on ImageNet, and 1 with a non-linear one on CIFAR. A second
    V × d matrix would double a small student: the second head is the student's head as it was
    before training, plus a correction of low rank. Logits of two models have no common zero, so
    both sides are centred; `centre=false` is the paper's form. The gradient alignment of the code
    is left out: it needs the gradients of both losses on all weights of the backbone apart.
Control: `heads=1` puts both losses on the student's own head.
Data: the dataset's responses. The finished student has the first head alone.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from kdbench.methods import Mechanism, Method, methods
from kdbench.training import Chunk, Context, CrossEntropy, Objective, Part, Term, Triple
from kdbench.training.second_head import second_head

if TYPE_CHECKING:
    import torch

CLASSES = 100  # the vocabulary for which `matching_weight` is the whole weight


def binary_loss(
    student: "torch.Tensor", teacher: "torch.Tensor", temperature: float, centre: bool
) -> "torch.Tensor":
    """B = τ² sum_v log cosh((u_v - z_v)/(2τ)), logits (n, V) to (n,)."""
    from torch.nn.functional import softplus

    x = student - teacher
    if centre:
        x = x - x.mean(-1, keepdim=True)
    x = x.abs() / (2 * temperature)
    return temperature**2 * (x + softplus(-2 * x) - math.log(2)).sum(-1)


@dataclass(frozen=True)
class LogCosh(Objective):
    """B times 100/V, on the second head or the student's own."""

    floor: ClassVar[float | None] = None  # the second head may differ
    temperature: float = 2.0
    centre: bool = True
    second_head: bool = True

    @property
    def hidden(self) -> Mapping[str, tuple[int, ...]]:  # type: ignore[override]
        """The states that the second head is given."""
        return {"student": (-1,)} if self.second_head else {}

    def begin(self, context: Context) -> None:
        """Start the second head from the student's."""
        if self.second_head:
            context.parts["second_head"].start_from(context.student)

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """B · 100/V."""
        logits, teacher = self.logits(chunk), chunk.view_logits("teacher")
        loss = binary_loss(logits, teacher, self.temperature, self.centre)
        return loss * (CLASSES / teacher.shape[-1])

    def logits(self, chunk: Chunk) -> "torch.Tensor":
        """The logits that are matched, (n, V)."""
        if not self.second_head:
            return chunk.logits
        logits: torch.Tensor = chunk.parts["second_head"](chunk.hidden("student", -1))
        return logits

    def diagnostics(self, chunk: Chunk) -> Mapping[str, "torch.Tensor"]:
        """The cosine of the two losses' gradients by the logits of their heads.

        Where both are on one head and it is negative, each undoes what the other does.
        """
        from torch.nn.functional import cosine_similarity, one_hot

        x = self.logits(chunk) - chunk.view_logits("teacher")
        x = x - x.mean(-1, keepdim=True) if self.centre else x
        of_match = (x / (2 * self.temperature)).tanh()
        of_label = chunk.log_q.exp() - one_hot(chunk.targets, x.shape[-1])
        return {"dual_head/cosine": cosine_similarity(of_label, of_match)}

    def __str__(self) -> str:
        return f"log_cosh(temperature={self.temperature:g}, heads={2 if self.second_head else 1})"


@methods.register("dual_head")
class DualHead(Method):
    """Cross-entropy on the head, and the teacher's logits on a second head."""

    title: ClassVar[str] = "Dual-Head KD (adapted)"
    paper: ClassVar[str] = "arXiv 2411.08937"
    cost: ClassVar[str] = "teacher forward, a second head"
    family: ClassVar[str] = "states"
    basis: ClassVar[str] = "abstract and authors' code"
    adapted: ClassVar[str] = "low-rank second head, weight by V, centred logits, no alignment"
    mechanism: ClassVar[Mechanism | None] = Mechanism(
        "lm_loss", "down", "label loss, with the logits matched on a head of their own"
    )
    matching_weight: float = Field(0.1, ge=0, description="α, weight of the match per 100 tokens")
    temperature: float = Field(2.0, gt=0, description="τ, divides the differences of logits")
    centre: bool = Field(True, description="subtract the mean of both models' logits")
    heads: int = Field(2, ge=1, le=2, description="1 puts both losses on the student's head")
    rank: int = Field(64, ge=1, description="r, rank of the second head's correction")
    part_rate: float = Field(1.0, ge=0, description="learning rate of the correction / student's")

    def triple(self) -> Triple:
        """Both losses on the dataset."""
        matching = LogCosh(self.temperature, self.centre, self.heads == 2)
        terms = [Term(CrossEntropy()), Term(matching, self.matching_weight)]
        parts: dict[str, Any] = {}
        if self.heads == 2:
            parts = {
                "second_head": Part(lambda sizes: second_head(sizes, self.rank), self.part_rate)
            }
        return Triple(terms, parts=parts)
