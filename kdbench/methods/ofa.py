"""OFA: the teacher's probabilities, with the response's token enhanced, also at inner layers.

Paper: One-for-All distillation (arXiv 2310.19444) and its public code, for classes of images.
    Adapted here to tokens.
Objective: -log q(y) + `enhanced_weight` ℓ(q), ℓ(q) = - sum over v of [(p_v + 1[v=y])^ε - 1[v=y]]
    log q_v, ε = `power`. At ε = 1 it is the cross-entropy to the teacher; above, tokens where the
    teacher is right count more. It is lowest at the normalised coefficients, not at p.
Exits: `exits=1,2` adds `exit_weight` ℓ(q_l) for layers 1 and 2 of the student, each a term of its
    own in the log. q_l is the softmax of the student's own head on RMSNorm(h + B A h), A and B of
    rank `rank`, trained with the student and dropped with the finished checkpoint. With
    head=detached (a choice of kdbench) the exits do not train the head. The paper's exits are
    projectors of images with a class head each. An exit costs a pass through the head.
Data: the dataset's responses, whose tokens are part of the definition.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from kdbench.config.kinds import Counts
from kdbench.methods import Mechanism, Method, methods
from kdbench.training import Chunk, Context, CrossEntropy, Objective, Part, Term, Triple
from kdbench.training.exits import StudentHead, exit_map

if TYPE_CHECKING:
    import torch


def enhanced(chunk: Chunk, log_q: "torch.Tensor", power: float) -> "torch.Tensor":
    """ℓ(q) at each position, (n,)."""
    p = chunk.log_p.exp()
    of_target = (1 + chunk.of_target(p)[:, None]) ** power - 1
    coefficients = (p**power).scatter(-1, chunk.targets[:, None], of_target)
    return -(coefficients * log_q).sum(-1)


@dataclass(frozen=True)
class Enhanced(Objective):
    """Cross-entropy to the teacher with the response's token enhanced."""

    floor: ClassVar[float | None] = None
    power: float = 1.5

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """ℓ(q)."""
        return enhanced(chunk, chunk.log_q, self.power)

    def __str__(self) -> str:
        return f"enhanced_cross_entropy(power={self.power:g})"


@dataclass
class Exit(Objective):
    """The same of what the head says of a hidden layer."""

    floor: ClassVar[float | None] = None
    needs_logits: ClassVar[bool] = False
    layer: str
    power: float
    head: Literal["detached", "shared"]
    _head: StudentHead | None = field(default=None, init=False, repr=False)

    @property
    def hidden(self) -> Mapping[str, tuple[int, ...]]:  # type: ignore[override]
        """The layer."""
        return {"student": (int(self.layer),)}

    @property
    def borrowed(self) -> "tuple[torch.Tensor, ...]":  # type: ignore[override]
        """The head, if the exit trains it."""
        return () if self._head is None else self._head.borrowed

    def begin(self, context: Context) -> None:
        """Find the head."""
        self._head = StudentHead(context.student, context.vocabulary, self.head == "shared")

    def _log_q(self, chunk: Chunk) -> "torch.Tensor":
        assert self._head is not None  # noqa: S101 - it has begun
        states = chunk.parts[f"exit_{self.layer}"](chunk.hidden("student", int(self.layer)))
        return self._head.logits(states).log_softmax(-1)

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """ℓ(q_l)."""
        return enhanced(chunk, self._log_q(chunk), self.power)

    def diagnostics(self, chunk: Chunk) -> "dict[str, torch.Tensor]":
        """`exit_L/top1`: whether the exit's first choice is the teacher's."""
        same = self._log_q(chunk).argmax(-1) == chunk.log_p.argmax(-1)
        return {f"exit_{self.layer}/top1": same.float()}

    def __str__(self) -> str:
        return f"exit_{self.layer}(power={self.power:g}, head={self.head})"


@methods.register("ofa")
class OFA(Method):
    """Cross-entropy to the teacher with the response's token enhanced, and cross-entropy."""

    title: ClassVar[str] = "OFA (adapted)"
    paper: ClassVar[str] = "arXiv 2310.19444"
    cost: ClassVar[str] = "teacher forward, a pass through the head for each exit"
    family: ClassVar[str] = "logits"
    basis: ClassVar[str] = "authors' code"
    adapted: ClassVar[str] = "classes of images become tokens, and exits use the student's own head"
    mechanism: ClassVar[Mechanism | None] = Mechanism(
        "top1_teacher_wrong@ref", "down", "the gold token where the teacher is wrong"
    )
    power: float = Field(1.5, gt=0, description="ε, power of the teacher's probabilities")
    enhanced_weight: float = Field(1.0, ge=0, description="weight of the part with the teacher")
    exits: Counts = Field((), description="layers of the student with an exit, from 1")
    exit_weight: float = Field(1.0, ge=0, description="weight of each exit")
    head: Literal["detached", "shared"] = Field(
        "detached", description="whether exits train the student's head (shared) or not"
    )
    rank: int = Field(64, ge=1, description="rank of the map from a layer to the head")
    part_rate: float = Field(
        1.0, ge=0, description="learning rate of the maps as a multiple of the student's"
    )

    def triple(self) -> Triple:
        """All parts on the dataset."""
        layers = dict.fromkeys(map(str, self.exits)) if self.exit_weight else {}
        exits = [Term(Exit(layer, self.power, self.head), self.exit_weight) for layer in layers]
        terms = [Term(CrossEntropy()), Term(Enhanced(self.power), self.enhanced_weight), *exits]
        part = Part(partial(exit_map, rank=self.rank), self.part_rate)
        return Triple(
            [term for term in terms if term.weight],
            parts={f"exit_{layer}": part for layer in layers},
        )
