"""The models of companions: loaded from a checkpoint, or copied from the student."""

from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdbench.checkpoint import (
    check_checkpoint,
    find_checkpoint,
    load_checkpoint,
    load_tokenizer,
)
from kdbench.errors import InputError
from kdbench.training.context import Context
from kdbench.views.tokenizers import SharedTokens, shared_tokens
from kdbench.views.view import ModelView, bare_model

if TYPE_CHECKING:
    import torch


def check_path(path: Path | None, key: str) -> None:
    """Check that a checkpoint exists, without hashing or loading it.

    Args:
        path: The checkpoint; None if there is none to check.
        key: What names it, for the message.

    Raises:
        InputError: It does not exist or is incomplete.
    """
    if path is not None:
        check_checkpoint(str(path), None, False, key)


def check_tokenizer(path: Path, key: str, tokenizer: Any) -> None:
    """Check that a checkpoint has the student's tokenizer, without loading its weights.

    Args:
        path: The checkpoint.
        key: What names it, for messages.
        tokenizer: The student's tokenizer.

    Raises:
        InputError: It does not exist, or has another one.
    """
    own = load_tokenizer(find_checkpoint(str(path), key=key))
    _check_same(shared_tokens(tokenizer, own), path, key)


def _check_same(shared: SharedTokens, path: Path, key: str) -> None:
    if shared.difference:
        raise InputError(
            f"{key}={path}: student and {key.removesuffix('_model')} have different tokenizers "
            f"({shared.difference}), and views are compared token by token: take a model of the "
            "student's family"
        )


def check_every(name: str, every: int) -> None:
    """Check the number of student steps between those of a companion.

    Raises:
        InputError: It is no number of steps.
    """
    if not isinstance(every, int) or every < 1:
        raise InputError(f"{name}: every={every!r}: must be a whole number of steps, 1 or more")


def load_model(path: Path, key: str, context: Context, dtype: str = "float32") -> Any:
    """Load a checkpoint whose tokens are the student's.

    Args:
        path: The checkpoint.
        key: What names it, for messages.
        context: Of the run.
        dtype: The type of its weights.

    Raises:
        InputError: It does not exist, or student and checkpoint have different tokenizers.
    """
    model, tokenizer = load_checkpoint(
        find_checkpoint(str(path), key=key), dtype, str(bare_model(context.student).device)
    )
    shared = shared_tokens(context.tokenizer, tokenizer)
    _check_same(shared, path, key)
    if shared.size < context.vocabulary:
        raise InputError(
            f"{key}={path}: has {shared.size} of the {context.vocabulary} tokens that student and "
            "teacher share"
        )
    return model.eval()


def view_of(model: Any, context: Context) -> ModelView:
    """A model as a view, checked on a few tokens; weights in float32 run as the student does.

    Raises:
        InputError: The architecture changes its logits in an unknown way.
    """
    import torch

    exact = next(bare_model(model).parameters()).dtype == torch.float32
    view = (
        ModelView(model, context.vocabulary, autocast=context.autocast)
        if exact
        else ModelView(model, context.vocabulary)
    )
    view.check()
    return view


def has_adapter(student: Any) -> bool:
    """Whether an adapter is trained instead of the student's own weights."""
    return hasattr(student, "disable_adapter")


def copy_of_student(context: Context) -> Any:
    """A copy of the student as it is before training, with its adapter if there is one."""
    student = context.student
    if has_adapter(student):
        return deepcopy(student).requires_grad_(False).eval()
    model = context.student_at_start().to(bare_model(student).device)
    return model.requires_grad_(False).eval()


class Follower:
    """A model whose weights follow those that the student trains.

    Args:
        model: The model, of the student's shapes.
        student: The student.
        refused: What to say if the shapes differ.

    Raises:
        InputError: They do.
    """

    def __init__(self, model: Any, student: Any, refused: str):
        trained = {name: p for name, p in student.named_parameters() if p.requires_grad}
        own = dict(model.named_parameters())
        if {name: p.shape for name, p in trained.items()} != {
            name: own[name].shape if name in own else None for name in trained
        }:
            raise InputError(refused)
        self.pairs = {name: (own[name], weights) for name, weights in trained.items()}

    def move(self, share: float) -> None:
        """Move all weights by a share of the way to the student's; 1 copies them exactly."""
        import torch

        with torch.no_grad():
            for own, weights in self.pairs.values():
                if share == 1:
                    own.copy_(weights)
                else:
                    own.lerp_(weights.to(own.dtype), share)

    def weights(self) -> "dict[str, torch.Tensor]":
        """The weights that follow, by name."""
        return {name: own.detach() for name, (own, _) in self.pairs.items()}

    def restore(self, weights: "dict[str, torch.Tensor]") -> None:
        """Set the weights."""
        import torch

        with torch.no_grad():
            for name, (own, _) in self.pairs.items():
                own.copy_(weights[name])
