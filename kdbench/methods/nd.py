"""ND loss: the student's states point to the mean of their class, and are as long as the teacher's.

Paper: arXiv 2305.17007, for classes of images; the public code was read.
Objective: -log q(y) + `kd_weight` τ² KL(p‖q) at `temperature` + `weight` ND, and
      ND = 1 - ⟨s, e_y⟩ / max(‖s‖, ‖t‖),
    s the student's state, t the teacher's, e_y the unit vector of the teacher's mean state before
    the token y. ND is 0 if and only if s is along e_y and as long as t, or longer: not at s = t.
    `aspect=direction` is 1 - cos(s, e_y), `aspect=norm` 1 - ‖s‖/max(‖s‖, ‖t‖); both are kdbench's.
Adapted: the class is the next token. The means are found before the first step over the training
    set; tokens that occur fewer than `least_seen` times count nothing. With `targets=head` e_y is
    the row of the teacher's head, which needs no pass and leaves out the final norm's own scale.
    States are those before the final norm, after which all are about equally long. The code raises
    the weight of the KL over 20 epochs; here it is constant. If the widths differ, s is a
    projection of the student's state, which trains; it can become longer where the state does not.
Limits: a token's meaning hangs on its context, so the mean of a frequent token says little, and
    e_y of tied embeddings makes ND close to cross-entropy.
Data: the dataset's responses. `targets=means` holds V × width numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from kdbench.methods import Mechanism, Method, methods
from kdbench.training import (
    Chunk,
    Context,
    CrossEntropy,
    Match,
    Objective,
    Part,
    Preparation,
    Sizes,
    Term,
    Triple,
)

if TYPE_CHECKING:
    import torch

Aspect = Literal["both", "direction", "norm"]
BEFORE_NORM = -2  # the layer
_LAYERS: Mapping[str, tuple[int, ...]] = {"student": (BEFORE_NORM,), "teacher": (BEFORE_NORM,)}


def nd_loss(
    student: "torch.Tensor", teacher: "torch.Tensor", direction: "torch.Tensor", aspect: Aspect
) -> "torch.Tensor":
    """ND of n states, (n, H) each, to (n,); `direction` has unit vectors."""
    own, its = student.norm(dim=-1), teacher.norm(dim=-1)
    if aspect == "norm":
        return 1 - own / own.maximum(its).clamp(min=1e-12)
    longest = own if aspect == "direction" else own.maximum(its)
    return 1 - (student * direction).sum(-1) / longest.clamp(min=1e-12)


@dataclass
class NormAndDirection(Objective):
    """ND of the states before the final norm."""

    views = ()
    hidden = _LAYERS
    needs_logits: ClassVar[bool] = False
    floor: ClassVar[float | None] = None
    targets: Literal["means", "head"] = "means"
    aspect: Aspect = "both"
    _directions: Any = field(default=None, init=False, repr=False)

    def begin(self, context: Context) -> None:
        """Find the unit vectors of the classes, (V, D), 0 for a class that counts nothing."""
        from torch.nn.functional import normalize

        if self.targets == "means":
            self._directions = context.statistics["directions"]
        else:
            head = context.views["teacher"].head.weight  # type: ignore[attr-defined]
            self._directions = normalize(head.detach()[: context.vocabulary].float(), dim=-1)

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """ND, 0 at tokens without a class."""
        student, teacher, direction = self._read(chunk)
        return nd_loss(student, teacher, direction, self.aspect) * direction.any(-1)

    def diagnostics(self, chunk: Chunk) -> Mapping[str, "torch.Tensor"]:
        """How far states point to their class, and how long they are beside the teacher's."""
        from torch.nn.functional import cosine_similarity

        student, teacher, direction = self._read(chunk)
        return {
            "nd/cosine": cosine_similarity(student, direction),
            "nd/norm_ratio": student.norm(dim=-1) / teacher.norm(dim=-1).clamp(min=1e-12),
        }

    def _read(self, chunk: Chunk) -> "tuple[torch.Tensor, torch.Tensor, torch.Tensor]":
        teacher = chunk.hidden("teacher", BEFORE_NORM)
        student = chunk.parts["projector"](chunk.hidden("student", BEFORE_NORM))
        return student, teacher, self._directions[chunk.targets].to(teacher)

    def __str__(self) -> str:
        return f"norm_and_direction({self.aspect}, {self.targets})"


def _projector(sizes: Sizes) -> "torch.nn.Module":
    """A linear map to the teacher's width; none if the student's is the same."""
    import torch

    own, its = sizes.widths["student"], sizes.widths["teacher"]
    return torch.nn.Identity() if own == its else torch.nn.Linear(own, its, bias=False)


@methods.register("nd")
class ND(Method):
    """Cross-entropy, forward KL, and states toward the teacher's class means."""

    title: ClassVar[str] = "ND (adapted)"
    paper: ClassVar[str] = "arXiv 2305.17007"
    cost: ClassVar[str] = "teacher forward, once more before the first step"
    family: ClassVar[str] = "states"
    basis: ClassVar[str] = "authors' code"
    adapted: ClassVar[str] = "a class is the next token; projected states before the final norm"
    mechanism: ClassVar[Mechanism | None] = Mechanism(
        "log:nd/cosine", "up", "cosine of a state to its class; 0 by chance"
    )
    weight: float = Field(2.0, ge=0, description="weight of ND")
    kd_weight: float = Field(1.0, ge=0, description="weight of the KL")
    temperature: float = Field(4.0, gt=0, description="τ, divides both logits in the KL")
    targets: Literal["means", "head"] = Field(
        "means", description="mean states before a token, or the rows of the teacher's head"
    )
    aspect: Aspect = Field("both", description="both, direction or norm")
    least_seen: int = Field(5, ge=1, description="occurrences below which a token counts nothing")
    part_rate: float = Field(1.0, ge=0, description="learning rate of the projector / student's")

    def prepare(self, preparation: Preparation) -> "Mapping[str, torch.Tensor]":
        """The unit vector of the teacher's mean state before each token."""
        import torch

        if self.targets == "head":
            return {}
        counts = torch.zeros(preparation.vocabulary, dtype=torch.long, device=preparation.device)
        sums = torch.zeros(0)
        for batch in preparation.batches():
            states = preparation.hidden("teacher", batch, BEFORE_NORM)
            sums = sums if len(sums) else states.new_zeros(len(counts), states.shape[-1])
            sums.index_add_(0, batch.targets, states)
            counts += torch.bincount(batch.targets, minlength=len(counts))
        sums[counts < self.least_seen] = 0
        return {"directions": torch.nn.functional.normalize(sums, dim=-1)}

    def triple(self) -> Triple:
        """All three on the dataset."""
        terms = [
            Term(CrossEntropy()),
            Term(Match(temperature=self.temperature), self.kd_weight),
            Term(NormAndDirection(self.targets, self.aspect), self.weight),
        ]
        return Triple(terms, parts={"projector": Part(_projector, self.part_rate)})
