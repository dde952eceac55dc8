"""How many parameters a checkpoint has, and how much memory and disk there is."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

from kdbench.checkpoint.config_file import read_config
from kdbench.checkpoint.weights import find_weights, tensor_shapes
from kdbench.doctor.member import Member
from kdbench.generate.decoding.memory import cached_numbers, layers_of

_LAYER = re.compile(r"\.(\d+)\.")
_PRUNED = re.compile(r"(?:prune|search):.+?,layers=(\d+)(?:,metric=\w+)?")
_UNLIMITED = 1 << 60  # what a control group without a limit reports, or more


@dataclass(frozen=True)
class Architecture:
    """The sizes of a model that decide its memory.

    Attributes:
        parameters: Number of parameters; tied ones count once.
        layers: Number of layers.
        hidden: Hidden size.
        vocabulary: Number of tokens in the head.
        cached: Numbers in the cache of keys and values, for each token.
    """

    parameters: int
    layers: int
    hidden: int
    vocabulary: int
    cached: int


def amount(size: float) -> str:
    """Bytes for people."""
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def stored_shapes(member: Member) -> Mapping[str, tuple[int, ...]] | None:
    """The shapes of a checkpoint's tensors, from their headers; None if they are not safetensors.

    Raises:
        InputError: A file is broken.
    """
    base = member.checkpoint.base or member.checkpoint
    if base.gguf or base.served or member.config_file is not None:
        return None
    weights = find_weights(base.path, read_config(base.path))
    return None if weights is None else tensor_shapes(base.path, weights)


def parameter_count(member: Member, student: str = "") -> int | None:
    """Number of stored parameters; None if only loading the model would tell.

    Args:
        member: The checkpoint.
        student: Value of `student=`, which may leave out layers.
    """
    shapes = stored_shapes(member)
    if not shapes:
        return None
    sizes = {name: prod(shape) for name, shape in shapes.items()}
    return _kept(sizes, student)


def architecture(member: Member, student: str = "") -> Architecture:
    """The sizes of a model, which is built without memory for its weights.

    Args:
        member: The checkpoint.
        student: Value of `student=`, which may leave out layers.
    """
    import torch
    from transformers import AutoModelForCausalLM

    config = member.config
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=member.trust_remote_code)
    sizes = {name: weight.numel() for name, weight in model.named_parameters()}
    layers, pruned = layers_of(config), _PRUNED.fullmatch(student)
    hidden = int(model.get_input_embeddings().weight.shape[-1])
    kept = min(layers, int(pruned[1])) if pruned else layers
    return Architecture(
        _kept(sizes, student),
        kept,
        hidden,
        int(model.get_output_embeddings().weight.shape[0]),
        kept * cached_numbers(config, lambda: hidden),
    )


def _kept(sizes: Mapping[str, int], student: str) -> int:
    """The sum of the sizes; of a pruned student, the share of its layers."""
    pruned = _PRUNED.fullmatch(student)
    in_layers = {name: match for name in sizes if (match := _LAYER.search(name))}
    total = sum(sizes.values())
    if not pruned or not in_layers:
        return total
    layers = 1 + max(int(match[1]) for match in in_layers.values())
    of_layers = sum(sizes[name] for name in in_layers)
    return total - of_layers + of_layers * min(layers, int(pruned[1])) // layers


def available_memory(device: str) -> int | None:
    """Free bytes of a device; None where they are not known.

    Args:
        device: `cpu`, `cuda`, `cuda:1` or `mps`. A control group's limit counts, as in a container.
    """
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    free = _proc_value(Path("/proc/meminfo"), "MemAvailable")
    limit = _whole(Path("/sys/fs/cgroup/memory.max"))
    used = _whole(Path("/sys/fs/cgroup/memory.current"))
    if free is not None and limit is not None and used is not None and limit < _UNLIMITED:
        # The group's own file cache is given back when memory is needed.
        cache = _proc_value(Path("/sys/fs/cgroup/memory.stat"), "file", unit=1) or 0
        return min(free, limit - used + cache)
    return free


def _proc_value(file: Path, key: str, unit: int = 1024) -> int | None:
    if not file.is_file():
        return None
    match = re.search(rf"^{key}:?\s+(\d+)", file.read_text(), re.MULTILINE)
    return int(match[1]) * unit if match else None


def _whole(file: Path) -> int | None:
    text = file.read_text().strip() if file.is_file() else ""
    return int(text) if text.isdecimal() else None
