"""A student made of some layers of another model."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from kdbench.errors import InputError, reason_of

# Attributes of a layer that only say which one it is.
_NUMBERS = ("layer_idx", "layer_id", "layer_index", "layer_number", "block_idx", "idx")


def prune(model: Any, layers: int | Sequence[int], shared: bool = False) -> Any:
    """Copy a model without some of its layers.

    Args:
        model: The model to copy; it may be on the meta device.
        layers: The numbers of the layers to keep, from 0, in rising order; or how many: the first
            half, rounded up, and the last.
        shared: Whether the copy shares its weights with the model, to be looked at alone.

    Raises:
        InputError: there is nothing to drop, or the configuration of this architecture cannot name
            the layers that are kept.
    """
    import torch

    total = model.config.get_text_config().num_hidden_layers
    count = layers if isinstance(layers, int) else len(layers)
    if not 1 <= count < total:
        raise InputError(f"layers={layers}: the model has {total}; give 1 to {total - 1}")
    first = (count + 1) // 2
    ends = [*range(first), *range(total - (count - first), total)]
    kept = ends if isinstance(layers, int) else [*layers]
    prefix = _layers_prefix(model, total)
    with torch.device("meta") if shared else nullcontext():
        student = _with_config(model, _kept_config(model, kept))
    _check_same_layers(model, student, prefix, kept)
    student.load_state_dict(_renamed(model.state_dict(), prefix, kept), assign=shared)
    if shared:
        _share_buffers(student, _renamed(dict(model.named_buffers()), prefix, kept))
        return student.eval()
    student.generation_config = model.generation_config
    return student.to(model.device, model.dtype).eval()


def _renamed(tensors: Mapping[str, Any], prefix: str, kept: Sequence[int]) -> dict[str, Any]:
    """The tensors of the layers that are kept, under the numbers that these get, and all others."""
    new_index, renamed = {old: new for new, old in enumerate(kept)}, {}
    for name, tensor in tensors.items():
        if not name.startswith(prefix):
            renamed[name] = tensor
            continue
        index, _, rest = name.removeprefix(prefix).partition(".")
        if int(index) in new_index:
            renamed[f"{prefix}{new_index[int(index)]}.{rest}"] = tensor
    return renamed


def _share_buffers(student: Any, buffers: Mapping[str, Any]) -> None:
    """Share the buffers that no checkpoint has, such as the frequencies of rotary positions."""
    for name, buffer in list(student.named_buffers()):
        if buffer.is_meta:
            place, _, leaf = name.rpartition(".")
            module = student.get_submodule(place)
            setattr(module, leaf, buffers[name])


def check_prunable(config: Any, layers: int, trust_remote_code: bool = False) -> None:
    """Check from a configuration alone that a model of this architecture can be pruned.

    Raises:
        InputError: it cannot.
    """
    import torch
    from transformers import AutoModelForCausalLM

    try:
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config, trust_remote_code=trust_remote_code)
            prune(model, layers)
    except InputError:
        raise
    except Exception:  # noqa: BLE001, S110 - it cannot be made on the meta device; weights will show
        pass


def _with_config(model: Any, config: Mapping[str, Any]) -> Any:
    kind = type(model.config)
    try:
        return type(model)(kind.from_dict(dict(config)))
    except Exception as error:
        raise _refused(model, reason_of(error, 150)) from error


def _kept_config(model: Any, kept: Sequence[int]) -> dict[str, Any]:
    """The configuration of the kept layers; lists with an entry per layer are cut as well."""
    config = model.config
    if config.get_text_config() is not config:
        raise _refused(model, "it has more parts than a language model")
    content, total = config.to_dict(), config.num_hidden_layers
    cut: dict[str, Any] = {
        key: [value[index] for index in kept]
        for key, value in content.items()
        if isinstance(value, list) and len(value) == total
    }
    if "attention_types" in content and "attention_layers" in content:  # GPT-Neo
        cut["attention_types"] = [[cut["attention_layers"], 1]]
    count = config.attribute_map.get("num_hidden_layers", "num_hidden_layers")
    if count in content:
        cut[count] = len(kept)
    return {**content, **cut}


def _layers_prefix(model: Any, layers: int) -> str:
    import torch

    for name, module in model.named_modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == layers:
            return f"{name}."
    raise _refused(model, "its layers were not found")


def _check_same_layers(model: Any, student: Any, prefix: str, kept: Sequence[int]) -> None:
    """Check that each layer of the student is built as the one whose weights it gets.

    Raises:
        InputError: one of them is not, as when only a layer's number says what it is.
    """
    place = prefix.removesuffix(".")
    before, after = model.get_submodule(place), student.get_submodule(place)
    if len(after) != len(kept):
        raise _refused(model, "its configuration does not give the number of layers")
    for new, old in enumerate(kept):
        if _structure(after[new]) != _structure(before[old]):
            raise _refused(model, f"layer {old} would be another kind of layer as number {new}")
    if _kinds(after) != _kinds(before):
        raise _refused(model, "no layer of one of its kinds would be left")


def _structure(layer: Any) -> list[tuple[Any, ...]]:
    """Class, plain attributes and parameters of every module of a layer, without its number."""
    structure = []
    for name, module in layer.named_modules():
        plain = {
            key: value
            for key, value in vars(module).items()
            if isinstance(value, bool | int | float | str) and key not in _NUMBERS
        }
        shapes = {key: tuple(value.shape) for key, value in module.named_parameters(recurse=False)}
        for state in ("training", "_is_hf_initialized"):
            plain.pop(state, None)
        structure.append((name, type(module).__name__, plain, shapes))
    return structure


def _kinds(layers: Any) -> set[str]:
    return {
        str([(name, type(module)) for name, module in layer.named_modules()]) for layer in layers
    }


def _refused(model: Any, reason: str) -> InputError:
    return InputError(f"{type(model).__name__}: cannot be pruned: {reason}")
