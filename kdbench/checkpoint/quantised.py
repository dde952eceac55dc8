"""Checkpoints whose weights are quantised already: how, and what reading them needs."""

import importlib.util
from collections.abc import Mapping
from typing import Any, NamedTuple

from kdbench.checkpoint.config_file import read_config
from kdbench.checkpoint.model import Checkpoint
from kdbench.errors import InputError


class _Needs(NamedTuple):
    """What transformers needs for a format.

    Attributes:
        packages: What pip installs, by a module that must be importable.
        gpu: Whether there are kernels for GPUs alone.
    """

    packages: Mapping[str, str] = {}
    gpu: bool = False


_NEEDS = {
    "gptq": _Needs({"gptqmodel": "gptqmodel", "optimum.gptq": "optimum"}),
    "awq": _Needs({"gptqmodel": "gptqmodel"}),
    "compressed-tensors": _Needs({"compressed_tensors": "compressed-tensors"}),
    "bitsandbytes": _Needs({"bitsandbytes": "bitsandbytes"}),
    "torchao": _Needs({"torchao": "torchao"}),
    "hqq": _Needs({"hqq": "hqq"}),
    "quanto": _Needs({"optimum.quanto": "optimum-quanto"}),
    "quark": _Needs({"quark": "amd-quark"}),
    "aqlm": _Needs({"aqlm": "aqlm[gpu,cpu]"}),
    "auto-round": _Needs({"auto_round": "auto-round"}),
    "vptq": _Needs({"vptq": "vptq"}, gpu=True),
    "spqr": _Needs({"spqr_quant": "spqr_quant[gpu]"}, gpu=True),
    "eetq": _Needs({"kernels": "kernels"}, gpu=True),
    "fbgemm_fp8": _Needs(gpu=True),
    "higgs": _Needs({"flute": "flute-kernel"}, gpu=True),
    "fp_quant": _Needs({"fp_quant": "fp_quant"}, gpu=True),
}
"""Formats that need further packages or a GPU, as their quantizers in transformers check it."""


def quantised_format(checkpoint: Checkpoint) -> str | None:
    """Return the format of a checkpoint's weights, as `gptq`, `gguf` or `compressed-tensors`.

    Args:
        checkpoint: Result of `find_checkpoint`; of an adapter, its base counts.

    Returns:
        None if they are not quantised, or on a server.
    """
    of_model = checkpoint.base or checkpoint
    if of_model.served is not None:
        return None
    if of_model.gguf is not None:
        return "gguf"
    config = _quantisation(read_config(of_model.path))
    return None if config is None else _method(config)


def describe_weights(checkpoint: Checkpoint, quantisation: str | None = None) -> str | None:
    """Return how the weights are quantised, in a few words; None if they are not.

    Args:
        checkpoint: Result of `find_checkpoint`.
        quantisation: `8bit` or `4bit` if they are quantised while they are loaded.
    """
    if quantisation is not None:
        return quantisation
    name = quantised_format(checkpoint)
    if name is None or name == "gguf":
        return name
    config = _quantisation(read_config((checkpoint.base or checkpoint).path)) or {}
    config = {**config, **_first_group(config)}
    given = (config.get(key) for key in ("bits", "w_bit", "nbits", "num_bits"))
    bits = next((number for number in given if number), None)
    if config.get("load_in_4bit") or config.get("load_in_8bit"):
        bits = 4 if config.get("load_in_4bit") else 8
    group = config.get("group_size", config.get("q_group_size"))
    words = [
        name,
        f"{bits} bits" if isinstance(bits, int) else "",
        f"group {group}" if isinstance(group, int) and group > 0 else "",
    ]
    return ", ".join(word for word in words if word)


def check_readable(checkpoint: Checkpoint, device: str, key: str | None = None) -> None:
    """Check that transformers can read a checkpoint's quantised weights here.

    Args:
        checkpoint: Result of `find_checkpoint`.
        device: Result of `pick_device`.
        key: Setting that named the checkpoint, for messages; None names only the folder.

    Raises:
        InputError: A package is missing, or the format needs a GPU.
    """
    name = quantised_format(checkpoint)
    needs = _NEEDS.get(name or "", _Needs())
    place = (checkpoint.base or checkpoint).path
    named = f"{place}" if key is None else f"{key}={place}"
    if needs.gpu and device == "cpu":
        raise InputError(
            f"{named}: its weights are quantised as {name}, which needs a GPU; measure it on one, "
            "or use the checkpoint that it was made from with quantization=4bit"
        )
    missing = [pip for module, pip in needs.packages.items() if not _is_installed(module)]
    if missing:
        installs = " ".join(f"'{pip}'" if "[" in pip else pip for pip in missing)
        raise InputError(
            f"{named}: its weights are quantised as {name}, which needs {' and '.join(missing)}: "
            f"pip install {installs}"
        )


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the package that the module is in
        return False


def _quantisation(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The `quantization_config` of a configuration, wherever transformers accepts it."""
    text = config.get("text_config")
    found = config.get("quantization_config") or config.get("compression_config")
    if not found and isinstance(text, dict):
        found = text.get("quantization_config")
    return found if isinstance(found, dict) and found else None


def _first_group(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """How the first group of modules is quantised, as compressed-tensors writes it."""
    groups = config.get("config_groups")
    first = next(iter(groups.values()), None) if isinstance(groups, dict) else None
    weights = first.get("weights") if isinstance(first, dict) else None
    return weights if isinstance(weights, dict) else {}


def _method(config: Mapping[str, Any]) -> str:
    method = config.get("quant_method")
    if isinstance(method, str) and method:
        return method.removeprefix("QuantizationMethod.").lower()
    is_bitsandbytes = config.get("load_in_8bit") or config.get("load_in_4bit")
    return "bitsandbytes" if is_bitsandbytes else "an unnamed format"
