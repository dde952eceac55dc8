"""Linear layers as decoding runs them, with copies of their weights that are made once.

On a CPU: weights in the blocked layout of oneDNN. The product with a weight as transformers stores
it takes up to twice as long, since the library reorders the weight for each product, or reads it in
an order that its kernels do not like. In float32, oneDNN also adds up a row in the same order in a
batch of any size but one, so a batch of one is run as two.

Under autocast: weights in its precision. Autocast keeps its own casts only for weights that need a
gradient and outside of inference mode, and would cast all weights again for every token.
"""

import os
import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers.pytorch_utils import Conv1D

Forward = Callable[[torch.Tensor], torch.Tensor]

_SMALLEST = 1 << 16  # numbers of a weight; the call costs more than the product with a smaller one
_MEMORY_SHARE = 1 / 4  # of the machine's memory; not of the free memory, so a resume decides alike
_MEMORY_IF_UNKNOWN = 8 * 2**30
_LIMIT = Path("/sys/fs/cgroup/memory.max")  # of a container
_ROWS = 64  # that the layout is chosen for; products of 4 to 1,500 rows are as fast with it


@dataclass(frozen=True)
class Linears:
    """Forward passes of a model's linear layers, with copies of the weights of one moment.

    Attributes:
        forwards: The forward pass of each layer that has a copy.
        device: Type of the model's device.
        precision: Precision of autocast that they are for; None is without autocast.
    """

    forwards: Mapping[nn.Module, Forward]
    device: str
    precision: torch.dtype | None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the layers by these, for a while; under another autocast, they run as they are."""
        if precision_of_autocast(self.device) != self.precision:
            yield
            return
        try:  # from the first layer on: one that kept its copy would never learn again
            # Into `__dict__`, as a module's own way of setting an attribute takes microseconds.
            for module, forward in self.forwards.items():
                vars(module)["forward"] = forward
            yield
        finally:
            for module in self.forwards:
                vars(module).pop("forward", None)


def linears_of(model: Any) -> Linears:
    """Copy the present weights of a model's linear layers, where decoding is faster with copies.

    The copies take as much memory as the weights on a CPU, where there are none if that is more
    than a quarter of the machine's memory, and half as much under autocast.

    Args:
        model: A transformers model.
    """
    device = model.device.type
    precision = precision_of_autocast(device)
    layers = [layer for layer in model.modules() if _is_plain(layer, device)]
    if precision is not None:
        layers = [layer for layer in layers if layer.weight.dtype == torch.float32]
        return Linears({layer: _cast(layer, precision) for layer in layers}, device, precision)
    layers = [layer for layer in layers if _gains_by_packing(layer, layer.weight.dtype)]
    if sum(layer.weight.nbytes for layer in layers) > _MEMORY_SHARE * _memory():
        layers = []
    return Linears({layer: _packed(layer, layer.weight) for layer in layers}, device, None)


def precision_of_autocast(device: str) -> torch.dtype | None:
    """Return the precision of autocast on a type of device; None where it is off."""
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None


def _is_plain(module: Any, device: str) -> bool:
    """Whether a module is a linear layer as torch or transformers has it, with a plain weight."""
    return (
        type(module) in (nn.Linear, Conv1D)
        and "forward" not in vars(module)  # as accelerate's hooks set it
        and type(module.weight) is nn.Parameter
        and module.weight.dim() == 2  # not where DeepSpeed has it
        and module.weight.device.type == device
    )


def _gains_by_packing(layer: Any, precision: torch.dtype) -> bool:
    """Whether oneDNN has a blocked layout for a layer on this machine that makes it faster."""
    return (
        type(layer) is nn.Linear
        and layer.weight.device.type == "cpu"
        and layer.weight.numel() >= _SMALLEST
        and _can_pack()
        and (precision == torch.float32 or (precision == torch.bfloat16 and _has_bfloat16()))
    )


def _cast(layer: Any, precision: torch.dtype) -> Forward:
    weight = layer.weight.detach().to(precision)
    if _gains_by_packing(layer, precision):
        return _packed(layer, weight)
    bias = None if layer.bias is None else layer.bias.detach().to(precision)
    if type(layer) is nn.Linear:
        return partial(functional.linear, weight=weight, bias=bias)

    def forward(states: torch.Tensor) -> torch.Tensor:
        product = torch.addmm(bias, states.view(-1, states.shape[-1]), weight)
        return product.view(*states.shape[:-1], -1)

    return forward


def _packed(layer: Any, weight: torch.Tensor) -> Forward:
    """The forward pass of a layer with its weight, in some precision, in the blocked layout."""
    multiply = torch.ops.mkldnn._linear_pointwise.default
    precision, width = weight.dtype, layer.in_features
    blocked = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), _ROWS)
    bias = None if layer.bias is None else layer.bias.detach().to(precision)

    def forward(states: torch.Tensor) -> torch.Tensor:
        states = states.to(precision)
        if precision != torch.float32 or states.numel() != width:
            product: torch.Tensor = multiply(states, blocked, bias, "none", [], "")
            return product
        twice = states.reshape(1, width).expand(2, width).contiguous()
        alone = multiply(twice, blocked, bias, "none", [], "")[:1]
        return alone.view(*states.shape[:-1], -1)

    return forward


def _can_pack() -> bool:
    return (
        platform.machine() in {"x86_64", "AMD64"}
        and torch.backends.mkldnn.is_available()
        and torch.backends.mkldnn.enabled
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")
    )


def _has_bfloat16() -> bool:
    supported: bool = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return supported


def _memory() -> int:
    """Bytes of memory of this machine, or of the container if they are fewer."""
    whole = _memory_of_machine()
    limit = _LIMIT.read_text().strip() if _LIMIT.is_file() else ""
    return min(whole, int(limit)) if limit.isdecimal() else whole


def _memory_of_machine() -> int:
    if "SC_PHYS_PAGES" not in os.sysconf_names:
        return _MEMORY_IF_UNKNOWN
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
