"""Which student is kept: the validations of a run, and the best student on disk."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kdbench.system.files import sync_folder, writing_to
from kdbench.training.sharding import is_sharded, plain_class

_SIGNS = {"rougeL": 1, "loss": -1}  # `last` has none: every later student replaces the former


def best_folder(folder: Path, step: float) -> Path:
    """The folder of the best student so far, named by the step of its validation."""
    return folder / f"best-{step:.0f}"


class StudentSelection:
    """All validations of a run, and the student that the last of them leaves as the best.

    Args:
        select: `rougeL` keeps the highest, `loss` the lowest, `last` the newest.
        folder: Where the best student is kept.
        saves: Whether this process writes files.

    Attributes:
        validations: `step`, `loss` and `rougeL` of each validation, in order.
        best: The selected validation; None before the first one after training began.
    """

    def __init__(self, select: str, folder: Path, saves: bool):
        self._select, self._folder, self._saves = select, folder, saves
        self.validations: list[dict[str, float]] = []
        self.best: dict[str, float] | None = None

    def add(self, validation: dict[str, float], save_student: Callable[[str], None]) -> None:
        """Add a validation, and keep the student if it is the best so far.

        Args:
            validation: `step` and the values of the validation.
            save_student: Writes the student into a folder; called on every process.
        """
        self.validations.append(validation)
        if self._is_best(validation):
            self.best = dict(validation)
            self._keep(save_student, best_folder(self._folder, validation["step"]))

    @property
    def best_path(self) -> Path:
        """The folder of the best student."""
        assert self.best is not None  # noqa: S101 - the last step is always validated
        return best_folder(self._folder, self.best["step"])

    def load_best(self, model: Any, at_start: Callable[[], Any]) -> Any:
        """Load the selected student.

        Args:
            model: The student as it is after the last step.
            at_start: Loads the student as it was before training.

        Returns:
            The model, an adapter merged into its weights.
        """
        folder = self.best_path
        if not hasattr(model, "merge_and_unload"):
            return plain_class(model).from_pretrained(folder, dtype=model.dtype)
        if is_sharded(model) or getattr(model, "is_quantized", False):
            from peft import PeftModel

            # The adapter has learned to correct the quantised weights, so it is added to those.
            base = at_start() if is_sharded(model) else model.unload().dequantize().float()
            return PeftModel.from_pretrained(base, folder).merge_and_unload()
        model.load_adapter(str(folder), "default")
        return model.merge_and_unload()

    def state(self) -> dict[str, Any]:
        """All that `restore` needs, ready for JSON."""
        return {"validations": self.validations, "best": self.best}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a state."""
        self.validations, self.best = state["validations"], state["best"]

    def _is_best(self, validation: Mapping[str, float]) -> bool:
        if validation["step"] == 0:  # the student before training is not a candidate
            return False
        sign = _SIGNS.get(self._select)
        if self.best is None or sign is None:
            return True
        return sign * validation[self._select] > sign * self.best[self._select]

    def _keep(self, save_student: Callable[[str], None], best: Path) -> None:
        unfinished = best.with_name(f".{best.name}.unfinished")
        if self._saves:
            shutil.rmtree(unfinished, ignore_errors=True)
            shutil.rmtree(best, ignore_errors=True)  # of a run that was killed after this
        with writing_to(best):
            save_student(str(unfinished))
        if self._saves:
            sync_folder(unfinished)
            unfinished.rename(best)
