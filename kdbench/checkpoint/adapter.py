"""Adapters of PEFT, added to their base."""

import warnings
from typing import Any

from kdbench.checkpoint.identity import ADAPTER_CONFIG
from kdbench.checkpoint.messages import one_line
from kdbench.checkpoint.model import Checkpoint
from kdbench.checkpoint.proof import LoadReport, require_proof
from kdbench.errors import InputError


def merge_adapter(model: Any, checkpoint: Checkpoint) -> Any:
    """Add an adapter to its base.

    Args:
        model: Base, loaded.
        checkpoint: Checkpoint of the adapter.

    Returns:
        A model of the base's class, with the adapter in its weights.

    Raises:
        InputError: peft is not installed, the adapter does not fit the base, or it has no form that
            can be added to weights.
    """
    file = checkpoint.path / ADAPTER_CONFIG
    try:
        import peft
    except ImportError:
        raise InputError(
            f"{file}: an adapter needs the package peft: pip install 'kdbench[peft]'"
        ) from None
    with one_line(file):
        config = peft.PeftConfig.from_pretrained(str(checkpoint.path))
    if config.is_prompt_learning:
        raise InputError(f"{file}: {config.peft_type.value} cannot be merged into weights")
    with one_line(checkpoint.path), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft uses old names of transformers
        wrapped = peft.PeftModel(model, config)
        result = wrapped.load_adapter(str(checkpoint.path), "default")
    missing = tuple(sorted(result.missing_keys))
    require_proof(
        checkpoint.path,
        LoadReport(missing, tuple(sorted(result.unexpected_keys)), {}),
        ADAPTER_CONFIG,
    )
    with one_line(checkpoint.path):
        merged = wrapped.merge_and_unload()
    for weight in merged.parameters():  # peft freezes the base
        weight.requires_grad_(weight.is_floating_point())
    return merged
