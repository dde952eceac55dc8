"""TRG: the student's tokens are related to each other as the teacher's are.

Paper: TRG (arXiv 2306.12442), for patches of images. A third-party note with the formulas was read,
    and no code; the exponents of its kernels are ambiguous and its weights are unknown.
Objective: KL(p‖q) and, on the states F that the heads are given,
    inner: the mean over (i, j) of the squared difference of softmax(F Fᵀ/√D), inside a response;
    local: over sampled tokens of a micro-batch, KL between each token's softmaxes over the others,
        `relation=cosine`: of cosines/`relation_temperature`; `relation=knn`: of the adjacency
        exp(-‖f_i-f_j‖²/(2s)) of the nearest tokens, 0 elsewhere, as in the paper;
    global: InfoNCE of a projection of each token's state to its teacher's, against the others.
Adapted: tokens of responses in place of patches; cosines, as with many tokens the softmax of `knn`
    is nearly uniform; teacher before student in both KL, which the notes print the other way round
    (`direction=reverse` does so in the local part); a constant temperature in the global part,
    where the paper's falls. Inner and local compare similarities alone, so the widths may differ.
Limits: local and global relations are those of a micro-batch, so `micro_batch_size=` changes them.
Data: the dataset's responses.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from kdbench.methods import Mechanism, Method, methods
from kdbench.training import Context, Match, Part, Sizes, StepObjective, Term, Triple, Whole
from kdbench.training.relations import (
    KLDirection,
    cosine_relations,
    inner_relations,
    neighbour_relations,
    same_token_loss,
    sampled_tokens,
)

if TYPE_CHECKING:
    import torch

_LAST: Mapping[str, tuple[int, ...]] = {"student": (-1,), "teacher": (-1,)}


class InnerRelations(StepObjective):
    """The relations inside each response."""

    views = ()
    hidden = _LAST
    needs_logits: ClassVar[bool] = False

    def step(self, whole: Whole) -> "torch.Tensor":
        """Each response's mean, times its tokens and its weight."""
        lengths = whole.batch.lengths
        rows = zip(
            _states(whole, "student").split(lengths),
            _states(whole, "teacher").split(lengths),
            whole.batch.rollouts,
            strict=True,
        )
        losses = [row.weight * inner_relations(own, its).sum() for own, its, row in rows]
        return sum(losses[1:], losses[0])

    def __str__(self) -> str:
        return "inner_relations"


@dataclass
class LocalRelations(StepObjective):
    """The relations between sampled tokens of a micro-batch.

    Attributes:
        losses: Returns the loss of each of n tokens from the states of both models.
        tokens: The most tokens.
    """

    views = ()
    hidden = _LAST
    needs_logits: ClassVar[bool] = False
    losses: Callable[..., Any]
    tokens: int = 256
    _note: Callable[[str, float], None] | None = field(default=None, init=False, repr=False)

    def begin(self, context: Context) -> None:
        """Log the error."""
        self._note = context.note

    def step(self, whole: Whole) -> "torch.Tensor":
        """The mean over the sampled tokens, times the number of all."""
        places = sampled_tokens(whole.batch, self.tokens)
        losses = self.losses(_states(whole, "student")[places], _states(whole, "teacher")[places])
        if self._note is not None:
            self._note("trg/relation_error", float(losses.detach().mean()))
        return _total(losses, places, whole)

    def __str__(self) -> str:
        return "local_relations"


@dataclass(frozen=True)
class GlobalRelations(StepObjective):
    """Each sampled token's projected state is told by its own teacher's."""

    views = ()
    hidden = _LAST
    needs_logits: ClassVar[bool] = False
    floor: ClassVar[float | None] = None
    temperature: float = 0.1
    tokens: int = 256

    def step(self, whole: Whole) -> "torch.Tensor":
        """The mean over the sampled tokens, times the number of all."""
        places = sampled_tokens(whole.batch, self.tokens)
        projected = whole.parts["projector"](_states(whole, "student")[places])
        losses = same_token_loss(projected, _states(whole, "teacher")[places], self.temperature)
        return _total(losses, places, whole)

    def __str__(self) -> str:
        return "global_relations"


def _states(whole: Whole, view: str) -> "torch.Tensor":
    """The states that a view's head is given, in float32 at least."""
    import torch

    states = whole.hidden(view, -1)
    return states if states.dtype == torch.float64 else states.float()


def _total(losses: "torch.Tensor", places: "torch.Tensor", whole: Whole) -> "torch.Tensor":
    weights = whole.batch.weights
    weighted = losses if weights is None else losses * weights[places]
    return weighted.mean() * len(whole.batch.targets)


def _projector(sizes: Sizes) -> "torch.nn.Module":
    import torch

    return torch.nn.Linear(sizes.widths["student"], sizes.widths["teacher"])


@methods.register("trg")
class TRG(Method):
    """Forward KL, and relations between the states of tokens."""

    title: ClassVar[str] = "TRG (adapted)"
    paper: ClassVar[str] = "arXiv 2306.12442"
    cost: ClassVar[str] = "teacher forward, relations of up to 256 tokens"
    family: ClassVar[str] = "states"
    basis: ClassVar[str] = "third-party note"
    adapted: ClassVar[str] = "tokens for patches, cosines, constant temperature, own weights"
    mechanism: ClassVar[Mechanism | None] = Mechanism(
        "log:trg/relation_error", "down", "how differently the models relate tokens; equal is 0"
    )
    inner_weight: float = Field(1.0, ge=0, description="α, weight of relations in a response")
    local_weight: float = Field(1.0, ge=0, description="β, weight of relations in a micro-batch")
    global_weight: float = Field(1.0, ge=0, description="γ, weight of the contrast of tokens")
    relation: Literal["cosine", "knn"] = Field("cosine", description="what relates two tokens")
    relation_temperature: float = Field(0.1, gt=0, description="divides the cosines")
    neighbours: int = Field(4, ge=1, description="k of relation=knn")
    spread: float = Field(1.0, gt=0, description="s of relation=knn, scale of squared distances")
    direction: KLDirection = Field(
        "forward", description="reverse puts the student first in the KL"
    )
    global_temperature: float = Field(0.1, gt=0, description="divides the cosines of the contrast")
    sampled: int = Field(256, ge=2, le=4096, description="most tokens that are related")
    part_rate: float = Field(1.0, ge=0, description="learning rate of the projector / student's")

    def triple(self) -> Triple:
        """All four on the dataset."""
        relate = (
            partial(cosine_relations, temperature=self.relation_temperature)
            if self.relation == "cosine"
            else partial(neighbour_relations, neighbours=self.neighbours, spread=self.spread)
        )
        local = LocalRelations(partial(relate, direction=self.direction), self.sampled)
        terms = [
            Term(Match()),
            Term(InnerRelations(), self.inner_weight),
            Term(local, self.local_weight),
            Term(GlobalRelations(self.global_temperature, self.sampled), self.global_weight),
        ]
        return Triple(terms, parts={"projector": Part(_projector, self.part_rate)})
