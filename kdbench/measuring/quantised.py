"""Models whose weights are quantised, in their files or while they are loaded."""

from kdbench.checkpoint import (
    Checkpoint,
    check_quantisable,
    check_quantisation,
    check_readable,
    pick_device,
    quantised_format,
)
from kdbench.config import EvalSettings


def check_quantised(checkpoint: Checkpoint, settings: EvalSettings, key: str) -> None:
    """Check, before weights are loaded, that quantised weights can be had of a checkpoint.

    Args:
        checkpoint: Checkpoint to measure.
        settings: Settings of that checkpoint.
        key: Setting that named it, for messages.

    Raises:
        InputError: A package or a GPU is missing, or the weights cannot be quantised.
    """
    if settings.quantization is not None:
        of_key = "teacher_quantization" if key == "teacher" else "quantization"
        check_quantisation(of_key)
        check_quantisable(checkpoint, of_key)
    if quantised_format(checkpoint) not in (None, "gguf"):
        check_readable(checkpoint, pick_device(settings.device), key)


def default_name(checkpoint: Checkpoint, quantisation: str | None) -> str:
    """Return what a checkpoint is called in results: its name, with how it is quantised here.

    So the row of a table says it, next to that of the same checkpoint in full precision.
    """
    return checkpoint.name if quantisation is None else f"{checkpoint.name}-{quantisation}"
