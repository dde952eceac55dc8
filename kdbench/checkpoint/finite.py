"""A check that weights are numbers."""

from pathlib import Path
from typing import Any

from kdbench.errors import InputError


def check_finite(model: Any, path: Path) -> None:
    """Check that all weights of a model are finite; a sum per tensor is enough for that.

    Args:
        model: Model on its device.
        path: Folder of the checkpoint, for messages.

    Raises:
        InputError: A weight is infinite or not a number; the message names its tensor.
    """
    import torch

    kinds = {torch.float16, torch.bfloat16, torch.float32, torch.float64}
    weights = [
        (name, weight.detach())
        for name, weight in model.named_parameters()
        # A tensor class of a library, such as torchao's integers, has no sum.
        if weight.dtype in kinds and type(weight.data) is torch.Tensor
    ]
    if not weights:
        return
    sums = torch.stack([weight.sum(dtype=torch.float32).double() for _, weight in weights])
    for index in (~torch.isfinite(sums)).nonzero().flatten().tolist():
        name, weight = weights[index]
        broken = int((~torch.isfinite(weight)).sum())
        if broken:
            kind = str(weight.dtype).removeprefix("torch.")
            raise InputError(
                f"{path}: weights are not finite: {broken} of {weight.numel()} values of {name} "
                f"({kind})"
            )
