"""The size of a model: from the headers of its files, or once it is loaded."""

import math
from collections.abc import Iterator
from typing import Any

from kdbench.checkpoint.json_file import read_object
from kdbench.checkpoint.model import Checkpoint
from kdbench.checkpoint.quantised import quantised_format
from kdbench.checkpoint.weights import WeightFiles, find_weights, tensor_shapes


def count_parameters(checkpoint: Checkpoint) -> int | None:
    """The number of parameters in a checkpoint's files, without reading the weights.

    Args:
        checkpoint: The checkpoint; the parameters of an adapter are those of its base and its own.

    Returns:
        The number; None for pickle and GGUF files, for quantised weights, whose tensors are packed,
        and for a model on a server.

    Raises:
        InputError: A file is broken.
    """
    if checkpoint.pickle or checkpoint.served is not None or quantised_format(checkpoint):
        return None
    if checkpoint.base is not None:
        own = _tensors(checkpoint, WeightFiles(("adapter_model.safetensors",)))
        base = count_parameters(checkpoint.base)
        return None if base is None or own is None else base + own
    config = read_object(checkpoint.path / "config.json")
    return _tensors(checkpoint, find_weights(checkpoint.path, config))


def _tensors(checkpoint: Checkpoint, weights: WeightFiles | None) -> int | None:
    shapes = None if weights is None else tensor_shapes(checkpoint.path, weights)
    return None if shapes is None else sum(map(math.prod, shapes.values()))


def loaded_parameters(model: Any) -> int:
    """The number of parameters of a loaded transformers model; tied ones count once.

    Quantised weights are packed, so that their tensors have other shapes: the architecture is built
    without memory for its weights, and its parameters are counted.
    """
    import torch

    if getattr(model, "is_quantized", False):
        with torch.device("meta"):
            model = type(model)._from_config(model.config)
    return sum(parameter.numel() for parameter in model.parameters())


def loaded_bytes(model: Any) -> int:
    """The bytes of a loaded model's weights, with the constants of quantised ones."""
    return sum(tensor.nbytes for tensor in {id(t): t for t in _tensors_of(model)}.values())


def _tensors_of(model: Any) -> Iterator[Any]:
    """Parameters, stored buffers, and what bitsandbytes keeps beside its parameters."""
    for parameter in model.parameters():
        yield parameter
        if (state := getattr(parameter, "quant_state", None)) is not None:
            yield from _of_state(state)
        for name in ("SCB",):  # the scales of 8-bit weights
            if (scales := getattr(parameter, name, None)) is not None:
                yield scales
    stored = model.state_dict(keep_vars=True)
    yield from (buffer for name, buffer in model.named_buffers() if name in stored)


def _of_state(state: Any) -> Iterator[Any]:
    """The constants of 4-bit weights; those of a nested state are quantised themselves."""
    yield state.absmax
    if state.state2 is not None:
        yield from (state.offset, state.state2.absmax)
