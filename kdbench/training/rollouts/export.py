"""The student as a plain checkpoint on disk, for an engine: adapters merged, in its precision."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdbench.errors import InputError
from kdbench.training.rollouts.held_folder import HeldFolder
from kdbench.views.view import bare_model

if TYPE_CHECKING:
    import torch

_IN_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
_WEIGHTS = "model.safetensors"


class StudentExport:
    """Writes the student as it is, again and again, into a folder that lies in memory if it can.

    Args:
        student: The student's model, with an adapter if there is one.
        tokenizer: Its tokenizer.
        dtype: Precision in which the weights are written.
    """

    def __init__(self, student: Any, tokenizer: Any, dtype: str):
        self._student, self._tokenizer, self._dtype = student, tokenizer, dtype
        size = sum(p.numel() * p.element_size() for p in student.parameters())
        self._held = HeldFolder(_place(2 * size))
        self._folder = self._held.path

    def checkpoint(self) -> Path:
        """Write a whole checkpoint: configuration, tokenizer and weights."""
        folder = self._written("start")
        self._tokenizer.save_pretrained(folder)
        return folder

    def weights(self, version: int) -> Path:
        """Write the weights alone, as a file of safetensors.

        Args:
            version: Number of optimiser steps that made them.
        """
        folder = self._written(f"step-{version}")
        file = self._folder / f"step-{version}.safetensors"
        (folder / _WEIGHTS).replace(file)
        shutil.rmtree(folder)
        return file

    def close(self) -> None:
        """Remove all of it."""
        self._held.close()

    def _written(self, name: str) -> Path:
        """A folder with the weights in one file, named as transformers names them.

        Raises:
            InputError: They cannot be written.
        """
        folder = self._folder / name
        model = bare_model(self._student)
        try:
            model.save_pretrained(
                folder,
                state_dict=plain_weights(self._student, self._dtype),
                max_shard_size="100TB",
            )
        except OSError as error:
            raise InputError(f"{folder}: the student cannot be written: {error}") from None
        return folder


def plain_weights(student: Any, dtype: str) -> "dict[str, torch.Tensor]":
    """The weights of the plain model by name, in an engine's precision, without gradient.

    Those under a LoRA adapter are merged with it in the student's own precision; the student's stay
    as they are.

    Args:
        student: A model of transformers, or of peft with a LoRA adapter.
        dtype: Precision of floating-point weights, such as `float32`.
    """
    import torch

    base, kind = bare_model(student), getattr(torch, dtype)
    deltas = {}
    for name, module in base.named_modules():
        for adapter in module.active_adapters if hasattr(module, "get_delta_weight") else ():
            if adapter in module.lora_A or adapter in module.lora_embedding_A:
                deltas[f"{name}.weight"] = module.get_delta_weight(adapter)
    weights = {}
    for name, tensor in base.state_dict().items():
        if ".lora_" in name:
            continue
        plain = name.replace(".base_layer.", ".")
        with torch.no_grad():
            whole = tensor.detach()
            if plain in deltas:
                whole = whole + deltas[plain]
            weights[plain] = whole.to(kind) if whole.is_floating_point() else whole
    return weights


def _place(size: int) -> Path | None:
    """A folder in memory with room for this many bytes; None is the system's temporary folder."""
    if _IN_MEMORY.is_dir() and shutil.disk_usage(_IN_MEMORY).free > size:
        return _IN_MEMORY
    return None
