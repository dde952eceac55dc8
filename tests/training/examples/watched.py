"""A schedule that remembers all it is told, and weighs one of two terms by it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import Field

from kdbench.divergence import reverse_kl
from kdbench.methods import Method, methods
from kdbench.training import (
    Chunk,
    CrossEntropy,
    Match,
    Schedule,
    StepSignals,
    Term,
    Triple,
    ValidationSignals,
)


class Diagnosed(CrossEntropy):
    """Cross-entropy that says how likely its targets are."""

    def diagnostics(self, chunk: Chunk) -> Mapping[str, Any]:
        """The mean probability of the targets."""
        return {"probability": chunk.of_target(chunk.log_q).exp()}


@dataclass
class Watching(Schedule):
    """Half the weight from the second step on."""

    domain: str | None = None
    views: tuple[str, ...] = ("teacher",)
    diagnoses: bool = True
    seen: list[dict[str, Any]] = field(default_factory=list)

    def values(self, _: float) -> Mapping[str, float]:
        """The weight of the divergence."""
        steps = sum("terms" in one for one in self.seen)
        return {"matching": 1.0 if not steps else 0.5}

    def after_step(self, signals: StepSignals) -> None:
        """Remember the step."""
        kept = {"number": signals.number, "progress": signals.progress, "loss": signals.loss}
        means = {"terms": dict(signals.terms), "diagnostics": dict(signals.diagnostics)}
        self.seen.append({**kept, **means})

    def after_validation(self, signals: ValidationSignals) -> None:
        """Remember the validation."""
        by_domain = {view: dict(losses) for view, losses in signals.by_domain.items()}
        kept = {"loss": signals.loss, "by_view": dict(signals.by_view), "by_domain": by_domain}
        self.seen.append(kept)

    def state(self) -> dict[str, Any]:
        """All that was seen."""
        return {"seen": self.seen}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue."""
        self.seen = state["seen"]

    def __str__(self) -> str:
        return "watching"


@methods.register("watched")
class Watched(Method):
    """Cross-entropy, and a reverse KL with a weight of the schedule."""

    title: ClassVar[str] = "Watched"
    paper: ClassVar[str] = "an example"
    cost: ClassVar[str] = "teacher forward"
    domain: str | None = Field(None, description="the column by which validation is split")
    weight: str = Field("matching", description="the value of the schedule that weighs the KL")

    def triple(self) -> Triple:
        """Both terms on the dataset."""
        terms = [Term(Diagnosed()), Term(Match(reverse_kl), self.weight)]
        return Triple(terms, schedule=Watching(self.domain))
