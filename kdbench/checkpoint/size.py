"""The size of a checkpoint, from the headers of its files."""

import math

from kdbench.checkpoint.json_file import read_object
from kdbench.checkpoint.model import Checkpoint
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
    if checkpoint.gguf is not None or checkpoint.pickle or checkpoint.served is not None:
        return None
    if checkpoint.base is not None:
        own = _tensors(checkpoint, WeightFiles(("adapter_model.safetensors",)))
        base = count_parameters(checkpoint.base)
        return None if base is None or own is None else base + own
    config = read_object(checkpoint.path / "config.json")
    if config.get("quantization_config"):
        return None
    return _tensors(checkpoint, find_weights(checkpoint.path, config))


def _tensors(checkpoint: Checkpoint, weights: WeightFiles | None) -> int | None:
    shapes = None if weights is None else tensor_shapes(checkpoint.path, weights)
    return None if shapes is None else sum(map(math.prod, shapes.values()))
