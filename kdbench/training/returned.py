"""Checks of what an objective returned: a wrong shape would still have a sum, and train."""

from typing import TYPE_CHECKING, Any

from kdbench.errors import InputError

if TYPE_CHECKING:
    import torch


def checked(losses: Any, shape: tuple[int, ...], function: str) -> "torch.Tensor":
    """The losses that an objective returned.

    Args:
        losses: What it returned.
        shape: What it must have.
        function: What returned it, for the message.

    Raises:
        InputError: It is no tensor of that shape.
    """
    import torch

    if not isinstance(losses, torch.Tensor):
        raise InputError(f"{function} returned {type(losses).__name__}: must return a tensor")
    if losses.shape != shape:
        raise InputError(
            f"{function} returned the shape {tuple(losses.shape)}: must be {shape}, "
            + ("a scalar" if not shape else "one loss each")
        )
    return losses


def refuse_without_gradient(total: "torch.Tensor", function: str) -> None:
    """Refuse a loss from which nothing would learn.

    Zeros are let through, which an objective may return where it has nothing to say.

    Raises:
        InputError: It has no gradient.
    """
    if not total.requires_grad and bool(total != 0):
        raise InputError(
            f"{function} returned a loss without a gradient, so nothing would learn: "
            "do not detach it"
        )
