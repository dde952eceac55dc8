"""The classmate of weak-model-guided distillation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from kdbench.divergence import forward_kl
from kdbench.training.companion import Companion
from kdbench.training.companions.frozen import Frozen
from kdbench.training.companions.moving_average import MovingAverage
from kdbench.training.companions.peer import Peer
from kdbench.training.context import Context
from kdbench.training.objective import Match, Term
from kdbench.training.step import StepOutcome
from kdbench.views.view import UniformView, View

ClassmateKind = Literal["trained", "frozen", "ema", "teacher", "uniform"]
_NAME = "classmate"


@dataclass
class Classmate(Companion):
    """A weaker model of the student's kind (weak-model-guided distillation).

    Attributes:
        kind: `trained` learns from the teacher by forward KL on dataset examples alone, so that it
            stays behind the student; `frozen` stays as it starts; `ema` is a moving average of the
            student's weights. `teacher` and `uniform` are controls: nothing to move away from, and
            plain sharpening.
        path: The checkpoint from which it starts; None is the student before training.
        every: Student steps per step of a trained classmate.
        lag: A trained classmate pauses while its validation loss is below the student's plus this,
            nats per token; None never pauses it.
        decay: Decay of the moving average per step.
        waiting: Whether a trained classmate pauses.
    """

    kind: ClassmateKind = "trained"
    path: Path | None = None
    every: int = 2
    lag: float | None = None
    decay: float = 0.99
    name: str = field(default=_NAME, init=False)
    waiting: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._inner: Companion | None = None
        if self.kind == "trained":
            terms = [Term(Match(forward_kl))]
            self._inner = Peer(
                _NAME,
                terms,
                self.path or "student",
                self.every,
                responses="dataset",
                validated=True,
            )
        elif self.kind == "ema":
            self._inner = MovingAverage(_NAME, self.decay, 1, self.path, validated=True)
        elif self.kind == "frozen":
            self._inner = Frozen(_NAME, self.path, validated=True)

    @property
    def views(self) -> tuple[str, ...]:  # type: ignore[override]
        """The teacher, from which it learns or which it is."""
        return ("teacher",) if self.kind in ("trained", "teacher") else ()

    @property
    def terms(self) -> Sequence[Term]:  # type: ignore[override]
        """What a trained classmate learns."""
        return self._inner.terms if self._inner else ()

    @property
    def checkpoints(self) -> Mapping[str, Path]:
        """The checkpoint from which it starts, if there is one."""
        return self._inner.checkpoints if self._inner else {}

    def check(self) -> None:
        """Check that the checkpoint exists."""
        if self._inner:
            self._inner.check()

    def start(self, context: Context) -> View:
        """Make the classmate and return its view."""
        if self._inner:
            return self._inner.start(context)
        return (
            context.views["teacher"] if self.kind == "teacher" else UniformView(context.vocabulary)
        )

    def after_step(self, outcome: StepOutcome) -> None:
        """Learn from the teacher, or follow the student's weights."""
        if self._inner and not self.waiting:
            self._inner.after_step(outcome)

    def after_validation(self, student_loss: float, own_loss: float | None) -> None:
        """Pause while the classmate is too good."""
        if self.kind == "trained" and self.lag is not None and own_loss is not None:
            self.waiting = own_loss < student_loss + self.lag

    def model(self) -> Any:
        """The classmate's model; None for the controls, which have none."""
        return self._inner and self._inner.model()

    def state(self) -> dict[str, Any]:
        """The weights, the optimiser, and whether it pauses."""
        state = self._inner.state() if self._inner else {}
        return {**state, "waiting": self.waiting} if state else {}

    def restore_state(self, state: dict[str, Any]) -> None:
        """Continue from a state."""
        self.waiting = state["waiting"]
        if self._inner:
            self._inner.restore_state(state)

    def __str__(self) -> str:
        start = f" from {self.path}" if self.path else ""
        return f"classmate({self.kind}{start})"
