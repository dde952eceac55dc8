"""A model that stays as it is: a second teacher, a reference, the student before training."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from kdbench.training.companion import Companion
from kdbench.training.companions.models import (
    check_path,
    copy_of_student,
    has_adapter,
    load_model,
    view_of,
)
from kdbench.training.context import Context
from kdbench.views.view import ModelView, View


@dataclass
class Frozen(Companion):
    """A model that does not learn.

    Attributes:
        name: The name of its view.
        checkpoint: Where it is; None is the student before training. If an adapter is trained, that
            is the student with its adapter off, and no second model is in memory.
        dtype: The type of its weights, as for `teacher_dtype=`, if it has a checkpoint.
        validated: Whether it is validated along with the student.
        key: The key that messages name; `NAME_model` if it is empty.
    """

    name: str
    checkpoint: Path | None = None
    dtype: str = "float32"
    validated: bool = False
    key: str = ""
    _model: Any = field(default=None, init=False, repr=False)

    @property
    def checkpoints(self) -> Mapping[str, Path]:
        """Its checkpoint, if it has one."""
        return {} if self.checkpoint is None else {self._named_by: self.checkpoint}

    @property
    def _named_by(self) -> str:
        return self.key or f"{self.name}_model"

    def check(self) -> None:
        """Check that the checkpoint exists."""
        check_path(self.checkpoint, self._named_by)

    def start(self, context: Context) -> View:
        """Load the model and return its view."""
        if self.checkpoint is None and has_adapter(context.student):
            without = partial(_adapter_off, context.student, context.autocast)
            view = ModelView(context.student, context.vocabulary, autocast=without)
            view.check()
            return view
        self._model = (
            copy_of_student(context)
            if self.checkpoint is None
            else load_model(self.checkpoint, self._named_by, context, self.dtype)
        )
        return view_of(self._model.requires_grad_(False), context)

    def model(self) -> Any:
        """The model if it is validated; the student with its adapter off is not."""
        return self._model if self.validated else None

    def __str__(self) -> str:
        return f"{self.name}(frozen{f' from {self.checkpoint}' if self.checkpoint else ''})"


@contextmanager
def _adapter_off(
    student: Any, autocast: Callable[[], AbstractContextManager[None]]
) -> Iterator[None]:
    """The student as it was before training: without its adapter and without dropout."""
    learns = student.training
    student.eval()
    try:
        with student.disable_adapter(), autocast():
            yield
    finally:
        student.train(learns)
