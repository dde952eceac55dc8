"""The course of a run: what happens when training begins and after each optimiser step."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from kdbench.training.trainer import DistillationTrainer

_STEPS_BETWEEN_STATES = 100


class Course(TrainerCallback):
    """Decides when to validate and when to save, counted in steps.

    A state is always saved with the validation of its step, if there is one.

    Args:
        trainer: The trainer of the run.
        start: The checkpoint from which the run resumes; None for a new run.
        validate_every: Steps between validations.
        save_every: Steps between states; None saves at each validation and every 100 steps.
        advance: Called once after each step, to show progress.
    """

    def __init__(
        self,
        trainer: DistillationTrainer,
        start: Path | None,
        validate_every: int,
        save_every: int | None,
        advance: Callable[[], None],
    ):
        self._trainer, self._start, self._advance = trainer, start, advance
        self._validate_every, self._save_every = validate_every, save_every
        self._also_save_every = min(validate_every, _STEPS_BETWEEN_STATES)

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """Begin, now that the student is wrapped and transformers has restored its own state."""
        self._trainer.begin(self._start)
        if self._start is None:
            self._trainer.evaluate()

    def on_step_end(self, _: Any, state: Any, control: Any, **__: Any) -> Any:
        """Update the method, and decide whether to validate and to save after this step."""
        self._trainer.after_step(self._trainer.take_outcome())
        step, last = state.global_step, state.global_step >= state.max_steps
        control.should_evaluate = last or step % self._validate_every == 0
        if self._save_every is None:
            control.should_save = control.should_evaluate or step % self._also_save_every == 0
        else:
            control.should_save = last or step % self._save_every == 0
        self._advance()
        return control
