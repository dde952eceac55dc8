"""Quantised checkpoints of toy models, made with torch alone."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

_BLOCK = 32
_LARGEST = 448.0  # of float8_e4m3fn


def quantised_copy(source: Path, folder: Path, **quantization_config: Any) -> Path:
    """Copy a checkpoint whose configuration then calls its weights quantised.

    Args:
        source: Folder of a checkpoint.
        folder: Folder to make.
        quantization_config: Content of that part of `config.json`.
    """
    shutil.copytree(source, folder)
    file = folder / "config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps({**config, "quantization_config": quantization_config}))
    return folder


def fp8_copy(source: Path, folder: Path) -> Path:
    """Copy a Llama checkpoint with the layers' matrices in 8-bit floats with block scales.

    Args:
        source: Folder of a checkpoint whose sizes are multiples of 32.
        folder: Folder to make.
    """
    blocks = [_BLOCK, _BLOCK]
    quantised_copy(
        source,
        folder,
        quant_method="fp8",
        weight_block_size=blocks,
        activation_scheme="dynamic",
        modules_to_not_convert=["lm_head"],
    )
    made: dict[str, torch.Tensor] = {}
    for name, weight in load_file(folder / "model.safetensors").items():
        made[name] = weight
        if weight.ndim == 2 and ".layers." in name:
            rows, columns = weight.shape
            parts = weight.reshape(rows // _BLOCK, _BLOCK, columns // _BLOCK, _BLOCK)
            scales = parts.abs().amax((1, 3)) / _LARGEST
            scaled = parts / scales[:, None, :, None]
            made[name] = scaled.reshape(rows, columns).to(torch.float8_e4m3fn)
            made[name.replace(".weight", ".weight_scale_inv")] = scales.float()
    save_file(made, folder / "model.safetensors", metadata={"format": "pt"})
    return folder
