"""DistiLLM-2: the teacher's text becomes likelier, the student's own less so.

Paper: Ko et al. 2025 (arXiv 2503.07067); its public code was read.
Objective: (2-β) KL(p ‖ α p + (1-α) q) on the teacher's response + β KL(q ‖ (1-α) p + α q') on the
    student's, q' = q without gradient (in DistiLLM it has one); each response is the mean of its
    tokens, and each term the mean over responses. α = `skew`, β = `student_weight`.
Curricula, which the code has and leaves off, as here:
    `adaptive_skew`: α = 1 - (1-α_0) m/(g + 1e-5) within .01 and α_0, for each response; g is how
        much likelier its writer finds it than the other model, by exp of the mean log-probability
        of its tokens, and m the mean of g in the first step (its tokens weigh alike).
    `growing_weight`: β + .5 min(1, 2 progress).
    The code hides a curriculum that fails; nothing is caught here.
Data: new responses of both models in every step. The paper samples both once, at temperature 0.8
    and top p 0.95 (`sampling_temperature=`, `sampling_top_p=`), and learns LoRA adapters.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from kdbench.divergence import forward_kl, mixture
from kdbench.methods import Mechanism, Method, methods
from kdbench.training import (
    Chunk,
    Constant,
    GeneratedPairs,
    Objective,
    Plan,
    Schedule,
    StepSignals,
    Term,
    Triple,
)

if TYPE_CHECKING:
    import torch

_LEAST_SKEW, _NO_ZERO = 0.01, 1e-5


@dataclass(frozen=True)
class SkewedByWriter(Objective):
    """Skew KL on the teacher's text (`chosen`), skew reverse KL on the student's (`rejected`)."""

    side: Literal["chosen", "rejected"]
    skew: float = 0.1
    adaptive: bool = False

    def plan(self, plan: Plan) -> Mapping[str, "torch.Tensor"]:
        """Each response's lead g and α, if they are needed."""
        if not self.adaptive:
            return {}
        lengths = plan.mask.sum(-1, keepdim=True)
        p, q = (
            (plan.log_prob(view).sum(-1, keepdim=True) / lengths).exp()
            for view in ("teacher", "student")
        )
        lead = p - q if self.side == "chosen" else q - p
        first = plan.schedule[f"lead/{self.side}"]
        skew = (
            1 - (1 - self.skew) * first / (lead + _NO_ZERO) if first else lead.new_ones(lead.shape)
        )
        skew = skew.clamp(_LEAST_SKEW, self.skew)
        return {"lead": lead * plan.mask, "skew": skew * plan.mask}

    def token(self, chunk: Chunk) -> "torch.Tensor":
        """KL(p ‖ α p + (1-α) q), or KL(q ‖ α q' + (1-α) p)."""
        skew = chunk.plan["skew"][:, None] if self.adaptive else self.skew
        log_p, log_q = chunk.log_p, chunk.log_q
        if self.side == "chosen":
            return forward_kl(log_p, mixture(log_p, log_q, skew))
        return forward_kl(log_q, mixture(log_q.detach(), log_p, skew))

    def diagnostics(self, chunk: Chunk) -> Mapping[str, "torch.Tensor"]:
        """g, for the schedule, and α."""
        names = ("lead", "skew") if self.adaptive else ()
        return {f"distillm2/{name}_{self.side}": chunk.plan[name] for name in names}

    def __str__(self) -> str:
        adaptive = ", adaptive" if self.adaptive else ""
        return f"skewed_by_writer({self.side}, skew={self.skew:g}{adaptive})"


@dataclass
class Curricula(Schedule):
    """The weights of both terms, and the mean leads of the first step (0 before they are known).

    Attributes:
        student_weight: β at the start.
        growing: Whether β grows.
        diagnoses: Whether the leads are needed.
        leads: The mean lead of each side in the first step.
    """

    student_weight: float
    growing: bool
    diagnoses: bool
    leads: dict[str, float] = field(default_factory=dict, init=False)

    def values(self, progress: float) -> Mapping[str, float]:
        """`teacher_text`, `student_text`, `lead/chosen` and `lead/rejected`."""
        weight = self.student_weight + (0.5 * min(1.0, 2 * progress) if self.growing else 0.0)
        leads = {f"lead/{side}": self.leads.get(side, 0.0) for side in ("chosen", "rejected")}
        return {"teacher_text": 2 - weight, "student_text": weight, **leads}

    def after_step(self, signals: StepSignals) -> None:
        """Remember the first leads."""
        for side in ("chosen", "rejected"):
            lead = signals.diagnostics.get(f"distillm2/lead_{side}")
            if lead is not None:
                self.leads.setdefault(side, lead)

    def state(self) -> dict[str, Any]:
        """The leads."""
        return {"leads": dict(self.leads)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a state."""
        self.leads = dict(state["leads"])

    def __str__(self) -> str:
        return ", ".join(
            ["growing weight"] * self.growing + ["skew by the first leads"] * self.diagnoses
        )


@methods.register("distillm2")
class DistiLLM2(Method):
    """Skew KL on the teacher's responses, skew reverse KL on the student's."""

    title: ClassVar[str] = "DistiLLM-2"
    paper: ClassVar[str] = "Ko et al. 2025, arXiv 2503.07067"
    cost: ClassVar[str] = "teacher forward, generation by both, two responses a prompt"
    family: ClassVar[str] = "on_policy"
    basis: ClassVar[str] = "authors' code"
    mechanism: ClassVar[Mechanism | None] = Mechanism(
        "rkl@student", "down", "distance on the student's own samples"
    )
    skew: float = Field(0.1, ge=0, lt=1, description="α, share of the first side in the mixture")
    student_weight: float = Field(
        1.0,
        ge=0,
        le=1.5,
        description="β, weight on the student's responses; the teacher's have 2-β",
    )
    adaptive_skew: bool = Field(False, description="smaller α where the writer leads less")
    growing_weight: bool = Field(False, description="β grows by 0.5 in the first half")

    def triple(self) -> Triple:
        """Both sides on new pairs."""
        weight, adaptive = self.student_weight, self.adaptive_skew
        moves = adaptive or self.growing_weight
        sides: list[tuple[Literal["chosen", "rejected"], float | str]] = [
            ("chosen", "teacher_text" if moves else 2 - weight),
            ("rejected", "student_text" if moves else weight),
        ]
        terms = [
            Term(SkewedByWriter(side, self.skew, adaptive), factor, (side,), "sequence")
            for side, factor in sides
            if factor
        ]
        schedule = Curricula(weight, self.growing_weight, adaptive) if moves else Constant()
        return Triple(terms, GeneratedPairs("teacher", "student"), schedule)
