"""Schedules: named values that change during training."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kdbench.views.rollout import Example

if TYPE_CHECKING:
    from kdbench.training.context import Context


@dataclass(frozen=True)
class StepSignals:
    """What a schedule learns of a step.

    Attributes:
        number: The number of the step, from 1.
        progress: The share of steps that are done, this one included, 0 to 1.
        loss: The distillation loss of the step over all processes, without pre-training texts.
        terms: The mean of each term over all processes, without its weight, by its text; without
            the terms that had nothing in this step.
        diagnostics: The mean of each diagnostic over all processes, by name; only if the schedule's
            `diagnoses` is true.
    """

    number: int
    progress: float
    loss: float
    terms: Mapping[str, float] = field(default_factory=dict)
    diagnostics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ValidationSignals:
    """What a schedule learns of a validation; losses are in nats per token.

    Attributes:
        loss: The student's cross-entropy on the references.
        by_view: That of the student and of each view in the schedule's `views`, by name.
        by_domain: The same by view and by the value of the schedule's `domain`.
    """

    loss: float
    by_view: Mapping[str, float] = field(default_factory=dict)
    by_domain: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


class Schedule:
    """Named values. A subclass may react to steps and validations, and saves what it remembers.

    Attributes:
        views: The views that are validated along with the student, for `after_validation`.
        domain: The field of examples by whose values validation losses are also given.
        diagnoses: Whether it needs the diagnostics of every step.
        fields: Further fields of the validation rows that it reads.
    """

    views: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    domain: str | None = None
    diagnoses: bool = False

    def __repr__(self) -> str:
        return type(self).__name__  # without an address, which differs in a resumed run

    def check(self, train: Sequence[Example], valid: Sequence[Example]) -> None:
        """Check training and validation set, before a model is loaded."""

    def begin(self, context: "Context") -> None:
        """Look at models and data once, before training begins or resumes."""

    def values(self, progress: float) -> Mapping[str, float]:  # noqa: ARG002
        """The values of the next step; `progress` is the share of steps that are done, 0 to 1."""
        return {}

    def after_step(self, signals: StepSignals) -> None:
        """React to a step."""

    def after_validation(self, signals: ValidationSignals) -> None:
        """React to a validation; the first comes before the first step."""

    def state(self) -> dict[str, Any]:
        """All that `restore` needs, ready for JSON."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a state."""


class Constant(Schedule):
    """Nothing changes."""

    def __str__(self) -> str:
        return "constant"


@dataclass
class Found(Schedule):
    """A number that `Method.prepare` found; it stays, and is logged.

    Attributes:
        name: Its name, in the statistics as in the schedule.
        number: What it is before `begin` has read it.
    """

    name: str
    number: float = 1.0

    def begin(self, context: "Context") -> None:
        """Read the number."""
        self.number = float(context.statistics[self.name])

    def values(self, progress: float) -> Mapping[str, float]:  # noqa: ARG002
        """The number."""
        return {self.name: self.number}

    def __str__(self) -> str:
        return f"{self.name} found before training"


@dataclass
class RisingThreshold(Schedule):
    """DistiLLM's adaptive share of student responses.

    `threshold` rises by `increment` whenever the validation loss is at least `tolerance` above the
    remembered one, and the new loss is remembered then. `refresh`, the probability of sampling new
    responses, is the threshold times the share of training that is left.

    Attributes:
        threshold: Probability of training on student responses, which rises from its first value.
        tolerance: Rise of the validation loss that counts, nats per token.
        increment: Rise of the threshold.
        remembered: The validation loss to compare with; None before the first one.
    """

    threshold: float = 0.0
    tolerance: float = 0.1
    increment: float = 0.1
    remembered: float | None = field(default=None, init=False)

    def values(self, progress: float) -> Mapping[str, float]:
        """`threshold` and `refresh`."""
        return {"threshold": self.threshold, "refresh": self.threshold * (1 - progress)}

    def after_validation(self, signals: ValidationSignals) -> None:
        """Raise the threshold if the loss has risen enough."""
        loss = signals.loss
        if self.remembered is None:
            self.remembered = loss
        elif loss >= self.remembered + self.tolerance:
            self.threshold = min(1.0, self.threshold + self.increment)
            self.remembered = loss

    def state(self) -> dict[str, Any]:
        """Threshold and remembered loss."""
        kept = {} if self.remembered is None else {"remembered": self.remembered}
        return {"threshold": self.threshold, **kept}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a state."""
        self.threshold, self.remembered = state["threshold"], state.get("remembered")

    def __str__(self) -> str:
        return f"rising_threshold(tolerance={self.tolerance:g}, increment={self.increment:g})"


@dataclass
class RisingInterpolation(Schedule):
    """TAID's teacher weight: it rises at least linearly, and faster while the loss falls.

    In runs of up to a few thousand steps the linear part decides: the weight's lead over it was 0.0
    in a run of 2,000 steps, and 0.092 in one of 8,000.

    Attributes:
        start: The initial weight.
        step_size: The step size, α in the paper.
        momentum: Momentum of the relative fall of the loss.
        weight: The current weight.
        fall: The relative fall of the loss, with momentum.
        last_loss: The loss of the last step; NaN before the first one.
    """

    start: float = 0.4
    step_size: float = 5e-4
    momentum: float = 0.99
    weight: float = field(default=math.nan, init=False)
    fall: float = field(default=0.0, init=False)
    last_loss: float = field(default=math.nan, init=False)

    def __post_init__(self) -> None:
        self.weight = self.start

    def values(self, progress: float) -> Mapping[str, float]:  # noqa: ARG002
        """`teacher_weight`."""
        return {"teacher_weight": self.weight}

    def after_step(self, signals: StepSignals) -> None:
        """Raise the weight t: m <- β m + (1-β) (L' - L)/L', t <- t + α sigmoid(m) (1-t).

        L' is the last step's loss and β the momentum; t is at least the linear schedule's.
        """
        loss, progress = signals.loss, signals.progress
        if not math.isnan(self.last_loss):
            relative = (self.last_loss - loss) / (self.last_loss + 1e-15)
            self.fall = self.momentum * self.fall + (1 - self.momentum) * relative
            faster = self.step_size * _logistic(self.fall) * (1 - self.weight)
            linear = self.start + (1 - self.start) * progress
            self.weight = min(1.0, max(linear, self.weight + faster))
        self.last_loss = loss

    def state(self) -> dict[str, Any]:
        """Weight, momentum and last loss."""
        last = {} if math.isnan(self.last_loss) else {"last_loss": self.last_loss}
        return {"weight": self.weight, "fall": self.fall, **last}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a state."""
        self.weight, self.fall = state["weight"], state["fall"]
        self.last_loss = state.get("last_loss", math.nan)

    def __str__(self) -> str:
        return f"rising_interpolation(start={self.start:g})"


@dataclass
class WarmupStableDecay(Schedule):
    """A weight that rises linearly, stays, and falls linearly to 0 at the end; another is the rest.

    Attributes:
        largest: The weight while it stays.
        warmup: The share of the training in which it rises.
        decay: The share in which it falls.
    """

    largest: float = 0.9
    warmup: float = 0.1
    decay: float = 0.2

    def values(self, progress: float) -> Mapping[str, float]:
        """`kd_weight`, and `lm_weight`, which is 1 minus that."""
        rise = progress / self.warmup if self.warmup else 1.0
        fall = (1 - progress) / self.decay if self.decay else 1.0
        weight = self.largest * max(0.0, min(1.0, rise, fall))
        return {"kd_weight": weight, "lm_weight": 1 - weight}

    def __str__(self) -> str:
        return f"warmup_stable_decay({self.largest:g}, {self.warmup:g}, {self.decay:g})"


def _logistic(x: float) -> float:
    return 0.5 * (1 + math.tanh(x / 2))  # overflows nowhere
