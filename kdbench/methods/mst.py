"""MST-Distill: several specialised teachers, of which a gate chooses for each response.

Paper: MST-Distill (arXiv 2507.07015), for teachers of several modalities; the public code was read.
Objective: -log q(y) + `kd_weight` sum_k g_k τ² KL(p_k‖q) + `balance_weight` KL(uniform ‖ mean g),
    g = softmax of a linear map of the student's mean state over the response, which is detached:
    `routing=soft` weighs by g, `hard` takes the largest, as the code does; `average` and `known`
    are controls without the gate: all teachers alike, or the best one of each value of the field
    `category=`.
Gate: with hard routing the KL gives the released gate no gradient, so that the balance alone trains
    it. With soft routing (`gate=student`) it learns to choose the teacher that is easier to match.
    Here (`gate=validation`) it minimises sum_k g_k (-log p_k(y)) on validation rows, from which the
    student does not learn.
Adapted: text teachers in place of modalities. The joint training of teachers and student and the
    masks on teacher features are left out; the teachers are frozen and have one tokenizer.
Limits: the balance is that of a micro-batch, so `micro_batch_size=` changes it a little.
Data: the dataset's responses; `category=` needs a field that training and validation rows have.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from kdbench.config.kinds import Paths
from kdbench.divergence import forward_kl
from kdbench.errors import InputError
from kdbench.methods import Mechanism, Method, methods
from kdbench.training import (
    Chunk,
    CrossEntropy,
    Frozen,
    Objective,
    Part,
    Plan,
    StepObjective,
    Term,
    Triple,
    Whole,
)
from kdbench.training.experts import BestByField
from kdbench.training.sources.validation_rows import ORIGIN, WithValidation
from kdbench.training.target import tempered
from kdbench.views.rollout import Example

if TYPE_CHECKING:
    import torch

Routing = Literal["soft", "hard", "average", "known"]


def gate_of(chunk: Chunk) -> "torch.Tensor":
    """The weights of the teachers for the response of each of n tokens, (n, K)."""
    weights: torch.Tensor = chunk.parts["gate"](chunk.plan["mean_state"]).softmax(-1)
    return weights


@dataclass(frozen=True)
class Routed(Objective):
    """τ² KL to each teacher, weighed by the gate."""

    views: tuple[str, ...]
    temperature: float = 4.0
    routing: Routing = "soft"
    trains_gate: bool = False
    best: BestByField | None = None

    def plan(self, plan: Plan) -> Mapping[str, "torch.Tensor"]:
        """The mean state, and the number of the best teacher of the row's category."""
        known = {} if self.best is None else {"best": self.best.of_rows(plan)}
        return {"mean_state": plan.mean_state(), **known}

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """The sum over the teachers."""
        log_q = tempered(chunk.logits, self.temperature)
        each = [
            forward_kl(tempered(chunk.view_logits(view), self.temperature), log_q)
            for view in self.views
        ]
        pairs = zip(self.weights(chunk).unbind(-1), each, strict=True)
        return self.temperature**2 * sum((weight * loss for weight, loss in pairs), each[0] * 0)

    def weights(self, chunk: Chunk) -> "torch.Tensor":
        """The weights of the teachers, (n, K)."""
        from torch.nn.functional import one_hot

        gate = gate_of(chunk)
        if self.routing == "average":
            return (gate * 0).detach() + 1 / len(self.views)
        if self.routing == "known":
            return one_hot(chunk.plan["best"], len(self.views)).to(gate.dtype)
        if self.routing == "hard":
            return one_hot(gate.argmax(-1), len(self.views)).to(gate.dtype)
        return gate if self.trains_gate else gate.detach()

    def diagnostics(self, chunk: Chunk) -> Mapping[str, "torch.Tensor"]:
        """Each teacher's weight, and how often the gate's first choice is the best teacher."""
        gate = gate_of(chunk)
        shares = {f"mst/{view}": gate[:, n] for n, view in enumerate(self.views)}
        if self.best is None:
            return shares
        right = (gate.argmax(-1) == chunk.plan["best"]).to(gate.dtype)
        return {**shares, "mst/gate_accuracy": right}

    def __str__(self) -> str:
        return f"routed_kl({self.routing}, {len(self.views)} teachers)"


@dataclass(frozen=True)
class ChosenLoss(Objective):
    """The cross-entropy of the teachers, weighed by the gate, which alone learns."""

    views: tuple[str, ...]
    needs_logits: ClassVar[bool] = False
    floor: ClassVar[float | None] = None

    def plan(self, plan: Plan) -> Mapping[str, "torch.Tensor"]:
        """The student's mean state over the response."""
        return {"mean_state": plan.mean_state()}

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """sum_k g_k (-log p_k(y))."""
        import torch

        losses = [-chunk.of_target(chunk.log_prob(view)) for view in self.views]
        return (gate_of(chunk) * torch.stack(losses, -1)).sum(-1)

    def __str__(self) -> str:
        return "chosen_teachers_loss"


class Balance(StepObjective):
    """KL(uniform ‖ mean gate) over the responses of a micro-batch."""

    views = ()
    needs_logits: ClassVar[bool] = False
    floor: ClassVar[float | None] = None

    def step(self, whole: Whole) -> "torch.Tensor":
        """Times the number of responses."""
        import torch

        states = whole.states("student").detach()
        states = states if states.dtype == torch.float64 else states.float()
        rows = [row.mean(0) for row in states.split(whole.batch.lengths)]
        log_gate = whole.parts["gate"](torch.stack(rows)).log_softmax(-1)
        log_mean = log_gate.logsumexp(0) - math.log(len(rows))
        return forward_kl(torch.zeros_like(log_mean).log_softmax(-1), log_mean) * len(rows)

    def __str__(self) -> str:
        return "balance"


@dataclass
class SeveralTeachers(WithValidation):
    """The dataset and validation rows; refuses a run without teachers."""

    teachers: Sequence[Path] = ()
    known: tuple[str, ...] = ()

    @property
    def fields(self) -> tuple[str, ...]:  # type: ignore[override]
        """The field of the category, if it is named."""
        return self.known

    def check(self, train: Sequence[Example]) -> None:
        """Check that there is something to choose from.

        Raises:
            InputError: There are fewer than two teachers.
        """
        if len(self.teachers) < 2:
            raise InputError(
                "teachers= is missing: method=mst chooses between two checkpoints or more, "
                "teachers=PATH,PATH"
            )
        super().check(train)


@methods.register("mst")
class MST(Method):
    """Cross-entropy, and KL to the one of several teachers that a gate chooses."""

    title: ClassVar[str] = "MST-Distill (adapted)"
    paper: ClassVar[str] = "arXiv 2507.07015"
    cost: ClassVar[str] = "forward of each teacher"
    family: ClassVar[str] = "states"
    basis: ClassVar[str] = "authors' code"
    adapted: ClassVar[str] = "text teachers, gate trained on validation, no masks, no joint stage"
    data: ClassVar[str] = "prompts and responses; several teachers"
    mechanism: ClassVar[Mechanism | None] = Mechanism(
        "log:mst/gate_accuracy", "up", "gate takes the best teacher of the kind; 1/K by chance"
    )
    needs_teacher: ClassVar[bool] = False
    required: ClassVar[tuple[str, ...]] = ("teachers",)
    teachers: Paths = Field((), description="checkpoints of the teachers, two or more")
    routing: Routing = Field("soft", description="soft, hard, or without the gate: average, known")
    gate: Literal["validation", "student"] = Field(
        "validation", description="what trains the gate: the teachers' validation loss, or the KL"
    )
    category: str | None = Field(None, description="field by whose values teachers are good")
    kd_weight: float = Field(1.0, ge=0, description="weight of the KL")
    temperature: float = Field(4.0, gt=0, description="τ, divides the logits in the KL")
    balance_weight: float = Field(1.0, ge=0, description="weight of an even use of the teachers")
    validation_rows: int = Field(8, ge=1, description="rows per step from which the gate learns")
    part_rate: float = Field(10.0, ge=0, description="learning rate of the gate / student's")

    @model_validator(mode="after")
    def _routable(self) -> "MST":
        if self.routing == "hard" and self.gate == "student":
            raise ValueError("gate=student: with routing=hard the KL gives the gate no gradient")
        if self.routing == "known" and self.category is None:
            raise ValueError("routing=known: pass category=, the field that tells the teacher")
        return self

    def triple(self) -> Triple:
        """The student's terms on the dataset, and the gate's on validation rows."""
        paths: Sequence[Path | None] = self.teachers or (None, None)  # a run is refused
        companions = [Frozen(f"t{n}", path, key="teachers") for n, path in enumerate(paths, 1)]
        views = tuple(companion.name for companion in companions)
        best = None if self.category is None else BestByField(self.category, views)
        of_student = self.gate == "student"
        routed = Routed(views, self.temperature, self.routing, of_student, best)
        on = ("dataset",)
        terms = [
            Term(CrossEntropy(), on=on),
            Term(routed, self.kd_weight, on=on),
            Term(Balance(), self.balance_weight, on=on, per="sequence"),
        ]
        if not of_student:
            terms.append(Term(ChosenLoss(views), on=(ORIGIN,)))
        known = () if self.category is None else (self.category,)
        rows = 0 if of_student else self.validation_rows
        source = SeveralTeachers(rows, teachers=self.teachers, known=known)
        options: dict[str, Any] = {} if best is None else {"schedule": best}
        gate = Part(lambda sizes: _gate(sizes.widths["student"], len(views)), self.part_rate)
        return Triple(terms, source, companions=companions, parts={"gate": gate}, **options)


def _gate(width: int, teachers: int) -> "torch.nn.Module":
    import torch

    return torch.nn.Linear(width, teachers)
