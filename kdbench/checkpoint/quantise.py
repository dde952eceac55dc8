"""Loading weights in 8 or 4 bits, with bitsandbytes."""

import importlib.util
import logging
from typing import Any, Literal

from kdbench.checkpoint.model import Checkpoint
from kdbench.checkpoint.quantised import quantised_format
from kdbench.errors import InputError

Quantisation = Literal["8bit", "4bit"]


def check_quantisation(key: str) -> None:
    """Check that weights can be quantised here.

    Args:
        key: The setting that asks for it, for the message.

    Raises:
        InputError: bitsandbytes is not installed.
    """
    if importlib.util.find_spec("bitsandbytes") is None:
        raise InputError(f"{key}= needs bitsandbytes: pip install 'kdbench[quantised]'")


def check_quantisable(checkpoint: Checkpoint, key: str) -> None:
    """Check that a checkpoint's weights can be quantised as they are loaded.

    Args:
        checkpoint: Result of `find_checkpoint`.
        key: The setting that asks for it, for the message.

    Raises:
        InputError: It is an adapter or a GGUF file, or its weights are quantised.
    """
    if checkpoint.base is not None:
        raise InputError(
            f"{key}=: {checkpoint.path} is an adapter; merge it into its model, save that, and "
            "pass the folder"
        )
    if checkpoint.gguf:
        raise InputError(f"{key}=: {checkpoint.path} is a GGUF file; pass the original weights")
    if quantised_format(checkpoint) is not None:
        raise InputError(f"{key}=: the weights in {checkpoint.path} are quantised; leave it out")


def quantisation_options(kind: Quantisation, dtype: Any, device: str) -> dict[str, Any]:
    """How transformers quantises weights while it loads them; the head stays as it is.

    Args:
        kind: `8bit` is LLM.int8() (Dettmers et al., 2022), `4bit` is NormalFloat with quantised
            constants (QLoRA, Dettmers et al., 2023).
        dtype: torch's number format of all other weights, and of 4-bit products.
        device: Where the model goes; quantised weights are not moved later.
    """
    from transformers import BitsAndBytesConfig

    if kind == "8bit":
        quiet_casts()
        config = BitsAndBytesConfig(load_in_8bit=True)
    else:
        config = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        )
    return {"quantization_config": config, "device_map": {"": device}}


def quiet_casts() -> None:
    """Silence bitsandbytes, which has a line for each 8-bit product whose input is cast."""
    logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)


def keep_exact(model: Any) -> Any:
    """Keep bitsandbytes from packing 4-bit weights again for a CPU, in evaluation mode.

    Its packed format rounds the constants to bfloat16, so that a student would be validated with
    other weights than it is trained with, and it fails for some widths.

    Args:
        model: A model with quantised weights.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    return model
