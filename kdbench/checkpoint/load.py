"""Loading a checkpoint's model, with proof that its tensors are those of the files."""

from collections.abc import Mapping
from typing import Any

from kdbench.checkpoint.adapter import merge_adapter
from kdbench.checkpoint.config_file import (
    check_generation,
    largest_number,
    read_config,
)
from kdbench.checkpoint.finite import check_finite
from kdbench.checkpoint.messages import one_line, relayed_warnings
from kdbench.checkpoint.model import Checkpoint
from kdbench.checkpoint.proof import LoadReport, require_proof
from kdbench.checkpoint.quantise import (
    Quantisation,
    keep_exact,
    quantisation_options,
    quiet_casts,
)
from kdbench.checkpoint.quantised import check_readable, quantised_format
from kdbench.checkpoint.tokenizer import check_end_tokens, load_tokenizer
from kdbench.checkpoint.weights import find_weights, integer_tensors, tensor_shapes
from kdbench.errors import InputError

_FAR_LARGER = 8  # times the largest dimension of any tensor


def load_checkpoint(
    checkpoint: Checkpoint,
    dtype: str,
    device: str,
    trust_remote_code: bool = False,
    quantisation: Quantisation | None = None,
) -> tuple[Any, Any]:
    """Load the model, in evaluation mode and on the device, and the tokenizer.

    Args:
        checkpoint: Result of `find_checkpoint`.
        dtype: Number format of the weights; `auto` is the checkpoint's own. On a CPU, float16
            becomes float32.
        device: Result of `pick_device`.
        trust_remote_code: Whether Python code that comes with the checkpoint may run.
        quantisation: How the weights are quantised while they are loaded; None leaves them. The
            checkpoint has passed `check_quantisable`.

    Raises:
        InputError: Weights are broken or incomplete, or not those of the configuration, there is
            no tokenizer, the checkpoint needs code that is not trusted, or its format a package
            that is not installed.
    """
    import torch

    check_readable(checkpoint, device)
    tokenizer = load_tokenizer(checkpoint, trust_remote_code)
    extra: dict[str, Any] = {}
    if quantisation is not None or quantised_format(checkpoint) not in (None, "gguf"):
        dtype = _dtype_beside_quantised(checkpoint, dtype, device)
        extra = {"device_map": {"": device}}  # such weights are not moved or cast later
        quiet_casts()
    if quantisation is not None:
        extra = quantisation_options(quantisation, getattr(torch, dtype), device)
    model = _load_whole_model(checkpoint.base or checkpoint, dtype, trust_remote_code, extra)
    if not extra and device == "cpu" and model.dtype == torch.float16:
        model = model.float()
    if checkpoint.base is not None:
        model = merge_adapter(model, checkpoint)
    check_end_tokens(checkpoint, tokenizer, model)
    model = keep_exact(model).eval() if extra else model.to(device).eval()
    check_finite(model, checkpoint.path)
    return model, tokenizer


def _dtype_beside_quantised(checkpoint: Checkpoint, dtype: str, device: str) -> str:
    """The number format of what is not quantised, and of products with what is."""
    import torch

    if dtype == "auto":
        config = read_config((checkpoint.base or checkpoint).path)
        stored = config.get("dtype") or config.get("torch_dtype") or "float32"
        dtype = str(stored).removeprefix("torch.")
        dtype = dtype if isinstance(getattr(torch, dtype, None), torch.dtype) else "float32"
    return "float32" if device == "cpu" and dtype == "float16" else dtype


def prove_checkpoint(checkpoint: Checkpoint, trust_remote_code: bool = False) -> None:
    """Prove that a checkpoint's tensors are its model's, without reading the weights.

    Quantised weights are left to the engine.

    Args:
        checkpoint: Result of `find_checkpoint`, in the format of transformers.
        trust_remote_code: Whether Python code that comes with the checkpoint may run.

    Raises:
        InputError: A tensor is missing, unexpected or of another shape, or a file has a fault.
    """
    _are_sizes_odd(checkpoint)
    if "quantization_config" in read_config(checkpoint.path):
        return  # an engine may read formats that transformers cannot
    _from_pretrained(checkpoint, _options(checkpoint, trust_remote_code) | {"device_map": "meta"})


def _load_whole_model(
    checkpoint: Checkpoint, dtype: str, trust_remote_code: bool, extra: dict[str, Any]
) -> Any:
    """Load a model that is no adapter.

    Raises:
        InputError: The weights are not exactly those of the configuration.
    """
    import torch

    options = _options(checkpoint, trust_remote_code)
    if not checkpoint.gguf and _are_sizes_odd(checkpoint):
        # On the meta device nothing is allocated, however large the configuration's sizes are.
        _from_pretrained(checkpoint, options | {"device_map": "meta"})
    kind: Any = "auto" if dtype == "auto" else getattr(torch, dtype)
    model = _from_pretrained(checkpoint, options | {"dtype": kind} | extra)
    _refuse_integers(checkpoint, model)
    return model


def _refuse_integers(checkpoint: Checkpoint, model: Any) -> None:
    """Refuse integers for weights that the configuration does not call quantised.

    Raises:
        InputError: There are some; the message names a tensor.
    """
    config = {} if checkpoint.gguf else read_config(checkpoint.path)
    weights = find_weights(checkpoint.path, config) if config else None
    if weights is None or "quantization_config" in config:
        return
    parameters = {name for name, _ in model.named_parameters()}
    for name in sorted(integer_tensors(checkpoint.path, weights) & parameters):
        raise InputError(
            f"{checkpoint.path}: {name} holds integers, as quantised weights do, and config.json "
            "has no quantization_config; use the checkpoint that it was made from"
        )


def _options(checkpoint: Checkpoint, trust_remote_code: bool) -> dict[str, Any]:
    """How transformers reads a checkpoint."""
    from transformers import GgufConfig

    options: dict[str, Any] = {
        "trust_remote_code": trust_remote_code,
        # An adapter next to a whole model's weights is looked for in this folder, and not found.
        "adapter_kwargs": {"subfolder": "no-adapter"},
        # Otherwise the error does not name the tensors.
        "ignore_mismatched_sizes": True,
        "output_loading_info": True,
    }
    if checkpoint.gguf:  # dequantised weights can be trained and saved
        gguf = {"gguf_file": checkpoint.gguf}
        return options | gguf | {"quantization_config": GgufConfig(dequantize=True)}
    return options | {"use_safetensors": not checkpoint.pickle}


def _from_pretrained(checkpoint: Checkpoint, options: Mapping[str, Any]) -> Any:
    """Load a model and prove that its tensors are those of the files.

    Raises:
        InputError: They are not.
    """
    from transformers import AutoModelForCausalLM

    path = checkpoint.path
    with relayed_warnings(path):
        with one_line(checkpoint.place):
            model, info = AutoModelForCausalLM.from_pretrained(path, **options)
        report = LoadReport.of_transformers(model, info, _is_text_part(checkpoint, model))
        require_proof(path, report, checkpoint.gguf or "config.json")
    if getattr(model, "_hf_peft_config_loaded", False):
        raise InputError(f"{path}: cannot be loaded: transformers has added the adapter in it")
    _refuse_encoder(checkpoint, model)
    return model


def _is_text_part(checkpoint: Checkpoint, model: Any) -> bool:
    """Whether the model is the text part of a checkpoint that also has others."""
    if checkpoint.gguf:
        return False
    return "text_config" in read_config(checkpoint.path) and not hasattr(
        model.config, "text_config"
    )


def _are_sizes_odd(checkpoint: Checkpoint) -> bool:
    """Check the files that describe the model, and its sizes against the weights.

    Returns:
        Whether a number in the configuration is far larger than any dimension of the weights.

    Raises:
        InputError: A file has a fault.
    """
    folder = checkpoint.path
    config = read_config(folder)
    check_generation(folder)
    weights = find_weights(folder, config)
    shapes = tensor_shapes(folder, weights) if weights else None
    if not shapes:
        return False
    largest = max((size for shape in shapes.values() for size in shape), default=1)
    return largest_number(config) > _FAR_LARGER * largest


def _refuse_encoder(checkpoint: Checkpoint, model: Any) -> None:
    """Refuse a model that looks at tokens to the right.

    Raises:
        InputError: The model is an encoder.
    """
    from transformers import MODEL_FOR_MASKED_LM_MAPPING

    config = model.config
    if type(config) in MODEL_FOR_MASKED_LM_MAPPING and getattr(config, "is_decoder", None) is False:
        raise InputError(
            f"{checkpoint.path / 'config.json'}: cannot be loaded: model_type={config.model_type} "
            "is an encoder (is_decoder is false), which does not generate text"
        )
