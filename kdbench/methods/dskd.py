"""DSKD: each model's states are also read by the other one's head, through a projector.

Paper: Zhang et al. 2024 (arXiv 2406.17328). Read: the authors' code.
Objective: (1-r) CE + r [ CE(t2s) + KL(t2s‖q) + KL(p‖s2t) ]. The distribution t2s is the student's
    head, frozen, on the teacher's last states, projected to the student's width; as a target it is
    constant, and the projector learns by its cross-entropy. s2t is the teacher's head on the
    student's last states, projected to the teacher's width. Both logits are divided by
    `temperature` in KL(t2s‖q) and KL(p‖s2t), without a factor, as in the code.
Parts: both projectors, linear with bias, which the finished student does not have. The code learns
    them at twice the student's rate: `projector_rate`.
Conventions: the code's scripts have temperature 2 and r 0.5.
    `attention=true` is the paper's variant DSKD-CMA, in which each position has a mean of the other
    model's states, weighted by attention between the embeddings of their tokens; KL(t2s‖q) counts
    where t2s has the response's token as its first choice. See `kdbench.training.cross_attention`.
    It has all logits of a micro-batch in memory at once.
Data: the dataset's responses. With `attention=true` the teacher may have another tokenizer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from kdbench.divergence import forward_kl
from kdbench.methods import Mechanism, Method, methods
from kdbench.training import Chunk, CrossEntropy, Objective, Part, Sizes, Term, Triple
from kdbench.training.cross_attention import CrossModelAttention
from kdbench.training.target import tempered

if TYPE_CHECKING:
    import torch


_LAST: Mapping[str, tuple[int, ...]] = {"student": (-1,), "teacher": (-1,)}


@dataclass(frozen=True)
class TwoSpaces(Objective):
    """The divergences in the space of the student and in that of the teacher."""

    hidden = _LAST
    heads = ("student", "teacher")
    floor: ClassVar[float | None] = None
    temperature: float = 2.0

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """CE(t2s) + KL(t2s‖q) + KL(p‖s2t)."""
        to_student, to_teacher = chunk.parts["to_student"], chunk.parts["to_teacher"]
        t2s = chunk.head_logits("student", to_student(chunk.hidden("teacher", -1)))
        s2t = chunk.head_logits("teacher", to_teacher(chunk.hidden("student", -1)))
        target, log_q, log_p, projected = (
            tempered(logits, self.temperature)
            for logits in (t2s.detach(), chunk.logits, chunk.view_logits("teacher"), s2t)
        )
        of_target = chunk.of_target(t2s.log_softmax(-1))
        return -of_target + forward_kl(target, log_q) + forward_kl(log_p, projected)

    def __str__(self) -> str:
        return f"two_spaces(temperature={self.temperature:g})"


def to_student(sizes: Sizes) -> "torch.nn.Module":
    """A linear map from the teacher's width to the student's."""
    import torch

    return torch.nn.Linear(sizes.widths["teacher"], sizes.widths["student"])


def to_teacher(sizes: Sizes) -> "torch.nn.Module":
    """A linear map from the student's width to the teacher's."""
    import torch

    return torch.nn.Linear(sizes.widths["student"], sizes.widths["teacher"])


def query(sizes: Sizes) -> "torch.nn.Module":
    """A linear map from two embeddings of the student to two of the teacher."""
    import torch

    return torch.nn.Linear(2 * sizes.widths["student"], 2 * sizes.widths["teacher"])


@methods.register("dskd")
class DSKD(Method):
    """KL in both models' spaces through projectors, mixed with cross-entropy."""

    title: ClassVar[str] = "DSKD"
    paper: ClassVar[str] = "Zhang et al. 2024, arXiv 2406.17328"
    cost: ClassVar[str] = "teacher forward, both heads once more, two projectors"
    family: ClassVar[str] = "tokenizers"
    basis: ClassVar[str] = "authors' code"
    mechanism: ClassVar[Mechanism | None] = Mechanism(
        "fkl@ref", "down", "distance to the teacher, by the same head"
    )
    kd_ratio: float = Field(0.5, ge=0, le=1, description="r, weight of both spaces; CE has 1-r")
    temperature: float = Field(2.0, gt=0, description="divides the logits of both divergences")
    attention: bool = Field(
        False, description="align positions by attention, also those of another tokenizer"
    )
    projector_rate: float = Field(
        2.0, gt=0, description="learning rate of the projectors, as a multiple of the student's"
    )

    def triple(self) -> Triple:
        """Both terms on the dataset, with the projectors."""
        objective = CrossModelAttention if self.attention else TwoSpaces
        spaces = Term(objective(self.temperature), self.kd_ratio)
        terms = [Term(CrossEntropy(), 1 - self.kd_ratio), spaces]
        builders = {"to_student": to_student, "to_teacher": to_teacher}
        builders |= {"query": query} if self.attention else {}
        parts = {name: Part(build, rate=self.projector_rate) for name, build in builders.items()}
        return Triple([term for term in terms if term.weight], parts=parts if self.kd_ratio else {})
