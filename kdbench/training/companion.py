"""A companion: a further model in training, which objectives see as one more view."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdbench.training.context import Context
from kdbench.training.step import StepOutcome
from kdbench.views.view import View

if TYPE_CHECKING:
    from kdbench.training.objective import Term


class Companion:
    """A model next to the student, visible as one more view; kinds are in `companions/`.

    Attributes:
        name: The name of its view.
        views: The views that it needs, such as `teacher`.
        terms: What it learns; empty if it does not.
        needs_teacher_model: Whether it needs the teacher's weights; its scores are then not enough.
        replaces_teacher: Whether its view takes the place of the teacher's.
    """

    name: str = "companion"
    views: tuple[str, ...] = ()
    terms: "Sequence[Term]" = ()
    needs_teacher_model: bool = False
    replaces_teacher: bool = False

    def __repr__(self) -> str:
        return type(self).__name__  # without an address, which differs in a resumed run

    @property
    def checkpoints(self) -> Mapping[str, Path]:
        """The checkpoints that it loads, by the key that names each in messages."""
        return {}

    def check(self) -> None:
        """Check what can be known before anything is loaded.

        Raises:
            InputError: Its checkpoint does not exist.
        """

    def start(self, context: Context) -> View:
        """Make the model and return its view; called once, before a state is restored."""
        raise NotImplementedError

    def begin(self, context: Context) -> None:
        """Look at all views and data once, before training begins or resumes."""

    def after_step(self, outcome: StepOutcome) -> None:
        """React to an optimiser step of the student, whose weights are those after it."""

    def after_validation(self, student_loss: float, own_loss: float | None) -> None:
        """React to a validation.

        Args:
            student_loss: The student's validation loss, nats per token.
            own_loss: The companion's; None if it is not validated.
        """

    def model(self) -> Any:
        """The model to validate along with the student; None if it is not validated."""
        return None

    def state(self) -> dict[str, Any]:
        """All that `restore_state` needs, tensors and plain values; empty if there is nothing."""
        return {}

    def restore_state(self, state: dict[str, Any]) -> None:
        """Continue from a state."""

    def save(self, folder: Path) -> None:
        """Save the state into a checkpoint's folder."""
        import torch

        if state := self.state():
            torch.save(state, folder / f"{self.name}.pt")

    def restore(self, folder: Path) -> None:
        """Continue from the state in a checkpoint's folder."""
        import torch

        if self.state():
            file = folder / f"{self.name}.pt"
            self.restore_state(torch.load(file, map_location="cpu", weights_only=True))
