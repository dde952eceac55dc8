"""Faults in `config.json` and `generation_config.json` that would hang or confuse a library."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kdbench.checkpoint.json_file import read_object
from kdbench.checkpoint.messages import one_line
from kdbench.errors import InputError

# Each of these is built one by one, so that a huge number would take hours.
_REPEATED = re.compile(r"(num_(hidden_)?|n_|encoder_|decoder_)layers?|num_layers|num_\w*experts")
_POSITIVE = re.compile(
    r"(num_(hidden_)?|n_)layers?|hidden_size|n_embd|d_model|vocab_size|intermediate_size"
    r"|num_attention_heads|n_heads?"
)
_MOST_REPEATED = 4096
_LEAST_BOUND = 256


def read_config(folder: Path) -> dict[str, Any]:
    """The content of a folder's `config.json`, with sizes checked.

    Raises:
        InputError: The file is no JSON object, or a size in it is impossible.
    """
    file = folder / "config.json"
    config = read_object(file)
    check_sizes(config, file)
    return config


def check_sizes(config: Mapping[str, Any], file: Path, tensors: int | None = None) -> None:
    """Check the sizes of an architecture before it is built.

    Args:
        config: Content of the file.
        file: File, for messages.
        tensors: Number of tensors that the weights hold, if known; no model has more layers.

    Raises:
        InputError: A size is no positive whole number, or has no relation to the weights.
    """
    most = _MOST_REPEATED if tensors is None else max(tensors, _LEAST_BOUND)
    for key, value in _named_values(config):
        name = key.rpartition(".")[2]
        if _POSITIVE.fullmatch(name) and value is not None:
            whole = isinstance(value, int) and not isinstance(value, bool)
            per_layer = isinstance(value, list)  # as some architectures have it
            if not per_layer and (not whole or value < 1):
                raise InputError(
                    f"{file}: cannot be loaded: {key}={value!r} must be a positive whole number"
                )
        if _REPEATED.fullmatch(name) and isinstance(value, int) and value > most:
            held = "" if tensors is None else f", and the weights hold {tensors} tensors"
            raise InputError(f"{file}: cannot be loaded: {key}={value} is too large{held}")


def check_config(folder: Path, trust_remote_code: bool) -> None:
    """Check that the installed libraries understand a folder's `config.json`.

    Args:
        folder: Folder of the checkpoint.
        trust_remote_code: Whether Python code that comes with the checkpoint may run.

    Raises:
        InputError: They do not.
    """
    from transformers import AutoConfig

    _check_names(folder, read_config(folder))
    with one_line(folder / "config.json"):
        AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)


def _check_names(folder: Path, config: Mapping[str, Any]) -> None:
    """Check the names in a configuration.

    Raises:
        InputError: The architecture is unknown, or the number format is none of torch's.
    """
    import torch
    from transformers import CONFIG_MAPPING

    file, kind = folder / "config.json", config.get("model_type")
    known = isinstance(kind, str) and (kind in CONFIG_MAPPING or "auto_map" in config)
    if kind is not None and not known:
        import transformers

        raise InputError(
            f"{file}: cannot be loaded: model_type={kind!r} is unknown to transformers "
            f"{transformers.__version__}"
        )
    for key in ("dtype", "torch_dtype"):
        value = config.get(key)
        if value is None or isinstance(value, dict) or value == "auto":
            continue
        named = getattr(torch, str(value).removeprefix("torch."), None)
        if not isinstance(named, torch.dtype):
            raise InputError(f"{file}: cannot be loaded: {key}={value!r} is no type of torch")


def check_generation(folder: Path) -> None:
    """Check a folder's `generation_config.json`, if there is one.

    Raises:
        InputError: The file is no JSON object, or transformers cannot read it.
    """
    from transformers import GenerationConfig

    file = folder / "generation_config.json"
    if not file.is_file():
        return
    ends = read_object(file).get("eos_token_id")
    listed = ends if isinstance(ends, list) else [] if ends is None else [ends]
    if not all(isinstance(end, int) and not isinstance(end, bool) for end in listed):
        raise InputError(
            f"{file}: cannot be loaded: eos_token_id={ends!r} must be an id or a list of ids"
        )
    with one_line(file):
        GenerationConfig.from_pretrained(folder)


def largest_number(config: Mapping[str, Any]) -> int:
    """The largest whole number among the values of a configuration."""
    return max((v for _, v in _named_values(config) if isinstance(v, int)), default=0)


def _named_values(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of a configuration and of those inside it, with dotted keys."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _named_values(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
