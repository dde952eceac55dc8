"""Checkpoints that are changed for a test."""

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

Weights = dict[str, torch.Tensor]


def change_weights(folder: Path, change: Callable[[Weights], Weights]) -> None:
    """Replace the weights of a folder."""
    file = folder / "model.safetensors"
    save_file(change(load_file(file)), file, metadata={"format": "pt"})


def without_a_tensor(folder: Path) -> None:
    """Leave the final norm out of the weights."""
    change_weights(
        folder, lambda weights: {n: w for n, w in weights.items() if "model.norm" not in n}
    )


def nan_weights(folder: Path) -> None:
    """Make every weight a NaN."""
    change_weights(
        folder, lambda weights: {n: torch.full_like(w, torch.nan) for n, w in weights.items()}
    )


def change_json(file: Path, **values: Any) -> None:
    """Set keys in a JSON file."""
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def shard(folder: Path, subfolder: str = "") -> dict[str, str]:
    """Split the weights of a folder into two shards, next to the single file; return the index."""
    weights = load_file(folder / "model.safetensors")
    names = [f"{subfolder}model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    index = {tensor: names[place % 2] for place, tensor in enumerate(sorted(weights))}
    (folder / subfolder).mkdir(exist_ok=True)
    for name in names:
        part = {tensor: weights[tensor] for tensor in index if index[tensor] == name}
        save_file(part, folder / name, metadata={"format": "pt"})
    write_index(folder, index)
    return index


def write_index(folder: Path, index: dict[str, str]) -> None:
    """Write the index of shards."""
    content = json.dumps({"metadata": {}, "weight_map": index})
    (folder / "model.safetensors.index.json").write_text(content)


def make_adapter(base: Path, folder: Path, **settings: Any) -> torch.nn.Module:
    """Write a random LoRA adapter; return its base with the adapter merged."""
    import peft
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(base)
    config = peft.LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False, **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft uses old names of transformers
        wrapped = peft.get_peft_model(model, config)
    wrapped.save_pretrained(folder)
    return wrapped.merge_and_unload()


def copy_into(source: Path, folder: Path) -> None:
    """Copy the files of a folder into another."""
    shutil.copytree(source, folder, dirs_exist_ok=True)
