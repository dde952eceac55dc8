"""The size of a checkpoint's weights on disk."""

from kdbench.checkpoint.config_file import read_config
from kdbench.checkpoint.model import Checkpoint
from kdbench.checkpoint.weights import find_weights


def disk_bytes(checkpoint: Checkpoint) -> int | None:
    """The size in bytes of the files that hold the weights; with an adapter, also of its base.

    Args:
        checkpoint: Checkpoint that was found.

    Returns:
        None for a model on a server.
    """
    path = checkpoint.path
    if checkpoint.served is not None:
        return None
    if checkpoint.gguf is not None:
        return (path / checkpoint.gguf).stat().st_size
    if checkpoint.base is not None:
        ending = "bin" if checkpoint.pickle else "safetensors"
        adapter = (path / f"adapter_model.{ending}").stat().st_size
        base = disk_bytes(checkpoint.base)
        return None if base is None else base + adapter
    weights = find_weights(path, read_config(path))
    return None if weights is None else sum((path / name).stat().st_size for name in weights.names)
