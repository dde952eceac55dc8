"""A schedule: named values that change during training."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field


class Schedule:
    """Values by name. A subclass reacts to steps and validations and says what its state is."""

    def values(self, progress: float) -> Mapping[str, float]:  # noqa: ARG002
        """The values of the next step; `progress` is the share of all steps that are done."""
        return {}

    def after_step(self, loss: float, progress: float) -> None:
        """The loss of a step, over all processes; `progress` counts it as done."""

    def after_validation(self, loss: float) -> None:
        """The validation loss, nats a token; the first one comes before the first step."""

    def state(self) -> dict[str, float]:
        """All that `restore` needs."""
        return {}

    def restore(self, state: Mapping[str, float]) -> None:
        """Go on from a state."""


class Constant(Schedule):
    """Nothing changes."""

    def __str__(self) -> str:
        return "constant"


@dataclass
class RisingThreshold(Schedule):
    """DistiLLM's adaptive share of student responses.

    `threshold` rises by `increment` whenever the validation loss has risen by `tolerance` above the
    last one that was remembered; only then is the new one remembered. `refresh`, the probability
    of sampling afresh, is the threshold times the share of training that is left.

    Attributes:
        threshold: probability of training on a student response, at first.
        tolerance: rise of the validation loss that counts, nats.
        increment: of the threshold.
    """

    threshold: float = 0.0
    tolerance: float = 0.1
    increment: float = 0.1
    remembered: float | None = field(default=None, init=False)

    def values(self, progress: float) -> Mapping[str, float]:
        """`threshold` and `refresh`."""
        return {"threshold": self.threshold, "refresh": self.threshold * (1 - progress)}

    def after_validation(self, loss: float) -> None:
        """Compare with the remembered loss."""
        if self.remembered is None:
            self.remembered = loss
        elif loss >= self.remembered + self.tolerance:
            self.threshold = min(1.0, self.threshold + self.increment)
            self.remembered = loss

    def state(self) -> dict[str, float]:
        """Threshold and remembered loss."""
        kept = {} if self.remembered is None else {"remembered": self.remembered}
        return {"threshold": self.threshold, **kept}

    def restore(self, state: Mapping[str, float]) -> None:
        """Go on from a state."""
        self.threshold, self.remembered = state["threshold"], state.get("remembered")

    def __str__(self) -> str:
        return f"rising_threshold(tolerance={self.tolerance:g}, increment={self.increment:g})"


@dataclass
class RisingInterpolation(Schedule):
    """TAID's teacher weight: at least linear in time, faster while the loss falls.

    Attributes:
        start: the weight at first.
        step_size: alpha of the paper.
        momentum: of the relative fall of the loss.
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

    def after_step(self, loss: float, progress: float) -> None:
        """Move on: m <- momentum m + (1-momentum) (L' - L)/L', t <- t + step sigmoid(m) (1-t)."""
        if not math.isnan(self.last_loss):
            relative = (self.last_loss - loss) / (self.last_loss + 1e-15)
            self.fall = self.momentum * self.fall + (1 - self.momentum) * relative
            faster = self.step_size * _logistic(self.fall) * (1 - self.weight)
            linear = self.start + (1 - self.start) * progress
            self.weight = min(1.0, max(linear, self.weight + faster))
        self.last_loss = loss

    def state(self) -> dict[str, float]:
        """Weight, momentum and last loss."""
        last = {} if math.isnan(self.last_loss) else {"last_loss": self.last_loss}
        return {"weight": self.weight, "fall": self.fall, **last}

    def restore(self, state: Mapping[str, float]) -> None:
        """Go on from a state."""
        self.weight, self.fall = state["weight"], state["fall"]
        self.last_loss = state.get("last_loss", math.nan)

    def __str__(self) -> str:
        return f"rising_interpolation(start={self.start:g})"


def _logistic(x: float) -> float:
    return 0.5 * (1 + math.tanh(x / 2))  # overflows nowhere
